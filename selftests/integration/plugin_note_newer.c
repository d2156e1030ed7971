// SPDX-License-Identifier: GPL-2.0-only
/* plugin_note_newer.c - says that it has inline functions of a later version; for test_abi.c */
#include "integration/note.h"

NOTE("tricolor", 0x10, ".long 2, 1");
