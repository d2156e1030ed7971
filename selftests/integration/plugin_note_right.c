// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_note_right.c - as plugin_note_last.c, and all fit: longer ones, and types that nobody
 * knows; for test_abi.c
 */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".long 1, 1");
NOTE("somebody", 0x10, ".long 2, 1");
NOTE("tricolor", 0x11, ".long 2, 1");
NOTE("tricolo", 0x10, ".long 2, 1");
NOTE("tricolors", 0x10, ".long 2, 1");
NOTE("somebody", 1, ".zero 4079");
NOTE("tricolor", 0x10, ".long 1, 0, 7, 8");
NOTE("somebody", 1, ".zero 9001");
NOTE("tricolor", 0x10, ".long 1, 0x80000000");
