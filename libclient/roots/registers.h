/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * registers.h - pointers that an interrupted function keeps in two registers, or a little below an
 * object
 *
 * The C library's string functions are written in assembly, and may be interrupted at any
 * instruction while nothing but their argument refers to an object.  They hold it in two ways that
 * a word alone does not show:
 *
 *	sum	memcpy(), strcmp() and others walk two strings by one register, and keep the other
 *		string as a distance from it, rsi - rdi: so the sum of two registers may be a
 *		pointer.
 *	below	what has read the beginning of a string with vector registers goes on from the
 *		address rounded down to a multiple of one, two or four of them, and adds that size
 *		afterwards: so what is 16, 32, … 256 bytes above a register, or above a sum, may be
 *		a pointer.
 *
 * Both hold for some instructions only, and in general registers only.  selftests/integration/
 * test_callees.c interrupts the functions of the C library that is there at each of their
 * instructions.
 */
#ifndef TRI_REGISTERS_H
#define TRI_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "../base/attributes.h"

struct tri_thread;

/*
 * As they are in a ucontext: REG_R8 … REG_RCX.  The stack pointer, which comes next, is nobody's
 * half.
 */
#define TRI_REGISTERS 15
#define TRI_BELOW_MIN 16u
#define TRI_BELOW_MAX 256u
/* The word itself, and 16 … 256 above it. */
#define TRI_CANDIDATES 6

/*
 * Call @visit with @arg and the TRI_CANDIDATES words of each register and each sum of two that are
 * near [@base, @base + @bytes], which is a small part of the address space: one comparison decides.
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
