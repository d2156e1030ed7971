// SPDX-License-Identifier: GPL-2.0-only
/* plugin_tls_large.c - as plugin_tls.c, with 2.4 MiB of thread-local variables */
#define CELLS 150000

#include "plugin_tls.c"
