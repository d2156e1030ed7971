/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * registers.h - pointers that an interrupted function keeps in two registers, or a little below an
 * object
 *
 * The C library's string functions are written in assembly.  They may be interrupted at any
 * instruction, while nothing but their argument refers to an object.  At some instructions the
 * argument is hidden in one of two ways:
 *
 *	sum	memcpy(), strcmp() and others walk two strings by one register, and keep the
 *		distance to the other string, rsi - rdi, in a second one.  So the sum of two
 *		registers may be a pointer.
 *	below	A function may read the beginning of a string with vector registers, then round the
 *		address down to a multiple of the size of one, two or four of them, and add that
 *		size later.  So a word that is 16, 32, 64, 128 or 256 bytes above a register, or
 *		above such a sum, may be a pointer.
 *
 * Both occur in general registers only.  selftests/integration/test_callees.c interrupts the
 * functions of the installed C library at each of their instructions.
 */
#ifndef TRI_REGISTERS_H
#define TRI_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "../base/attributes.h"

struct tri_thread;

/*
 * The registers from REG_R8 to REG_RCX of a ucontext.  The stack pointer, which comes next, is in
 * no such sum.
 */
#define TRI_REGISTERS 15
#define TRI_BELOW_MIN 16u
#define TRI_BELOW_MAX 256u
/* The word itself, and the five sizes from 16 to 256 above it. */
#define TRI_CANDIDATES 6

/*
 * For each register and each sum of two, call @visit with @arg and its TRI_CANDIDATES words, if
 * they may be in [@base, @base + @bytes].  That is a small part of the address space, so mostly one
 * comparison is all that is done.
 */
static inline void tri_register_candidates(const greg_t *regs, uint64_t base, uint64_t bytes,
					   void (*visit)(void *arg, const uint64_t *words),
					   void *arg)
{
	uint64_t words[TRI_CANDIDATES];
	unsigned int i, k, n;

	for (i = 0; i < TRI_REGISTERS; i++) {
		for (k = 0; k <= i; k++) {
			/* k == i stands for the register alone. */
			uint64_t word = (uint64_t)regs[i] + (k < i ? (uint64_t)regs[k] : 0);

			if (__builtin_expect(word - base + TRI_BELOW_MAX > bytes + TRI_BELOW_MAX,
					     1))
				continue;
			words[0] = word;
			for (n = 1; n < TRI_CANDIDATES; n++)
				words[n] = word + (TRI_BELOW_MIN << (n - 1));
			visit(arg, words);
		}
	}
}

void tri_scan_registers(struct tri_thread *to, const ucontext_t *uc, bool all) TRI_HIDDEN;

#endif
