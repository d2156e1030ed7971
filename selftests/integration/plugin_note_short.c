// SPDX-License-Identifier: GPL-2.0-only
/* plugin_note_short.c - its note ends before the version; for test_abi.c */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".byte 1, 0");
