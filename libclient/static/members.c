// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * members.c - asks the linker for members of libc.a
 *
 * This file is only in libtricolor.a.  The weak references of linked.c do not make the linker take
 * a member of an archive.  A strong reference does, but fails if the shared C library lacks the
 * symbol.  A reference from a section that is not put into the program does what is needed.  The
 * linker looks for the symbol, and does not fail if there is none.
 */
#define X(function, other, member) ".quad " #member "\n\t"
__asm__(".section .tri_members, \"e\"\n\t"
#include "names.h"
	".previous");

/* linked.c refers to this variable, so the linker takes this file with it. */
const char tri_static_members = 1;
