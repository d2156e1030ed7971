// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_tls_based.c - as plugin_tls.c, linked for an address of its own: its ELF header is not
 * where the loader's map of it says
 */
#include "plugin_tls.c"
