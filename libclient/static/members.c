// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * members.c - asks the linker for members of libc.a
 *
 * Only in libtricolor.a.  A weak reference, as those of linked.c, does not bring a member of an
 * archive into the program; a strong one to a symbol that the shared C library does not have fails.
 * One from a section that the linker leaves out does what is wanted: it makes the linker look for
 * the symbol, and nothing needs its address if there is none.
 */
#define X(function, other, member) ".quad " #member "\n\t"
__asm__(".section .tri_members, \"e\"\n\t"
#include "names.h"
	".previous");

/* linked.c refers to it: this member comes with that. */
const char tri_static_members = 1;
