// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_note_based.c - plugin_note_newer.c, linked for an address other than 0, as prelink does;
 * for test_abi.c
 */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".long 2, 1");
