// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_note_same.c - fits, and is as large in each of its parts as plugin_note_newer.c; for
 * test_abi.c
 */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".long 1, 1");
