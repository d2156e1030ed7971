// SPDX-License-Identifier: LGPL-2.1-or-later
/* ffi.c - the exported twins of the header's inline functions, for other languages and dlsym() */
#define TRI__EMIT
#define TRI__API __attribute__((visibility("default")))
#define TRI__API_ALLOC TRI__API
#include "tricolor.h"
