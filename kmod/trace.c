// SPDX-License-Identifier: GPL-2.0-only
/* trace.c - the code of the tracepoints; once in the module */
#define CREATE_TRACE_POINTS
#include "trace.h"
