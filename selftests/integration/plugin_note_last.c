// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_note_last.c - the note that does not fit comes after many others, one of which is long;
 * for test_abi.c
 */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".long 1, 1");
NOTE("somebody", 0x10, ".long 2, 1");
NOTE("tricolor", 0x11, ".long 2, 1");
NOTE("somebody", 1, ".zero 4079");
NOTE("tricolor", 0x10, ".long 1, 0");
NOTE("somebody", 1, ".zero 9001");
NOTE("tricolor", 0x10, ".long 3, 0");
