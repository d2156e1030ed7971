// SPDX-License-Identifier: LGPL-2.1-or-later
/* ffi.c - the exported twins of the header's inline functions, for other languages and dlsym() */
#define TRI__EMIT
#define TRI__API __attribute__((visibility("default")))
#include "tricolor.h"
