/* SPDX-License-Identifier: GPL-2.0-only */
/* note.h - notes of an object file, written by hand; for plugin_note_*.c */
#ifndef NOTE_H
#define NOTE_H

/* A note of @owner and @type, with @words, such as ".long 2, 1". */
#define NOTE(owner, type, words)					\
	__asm__(".pushsection .note.tricolor, \"a\", %note\n\t"		\
		".balign 4\n\t"						\
		".long 2f - 1f, 4f - 3f, " #type "\n"			\
		"1:\t.asciz \"" owner "\"\n"				\
		"2:\t.balign 4\n"					\
		"3:\t" words "\n"					\
		"4:\t.balign 4\n\t"					\
		".popsection")

#endif
