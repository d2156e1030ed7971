/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scan.h - conservative scans of stacks, registers and roots
 *
 * Pointers that are found go into the buffer of @to, which is a thread that is inside, or the
 * agent.  With @all, as in a stop, these include pointers to objects that are marked already.  All
 * functions are async-signal-safe: they only access memory and make system calls.
 */
#ifndef TRI_SCAN_H
#define TRI_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

/*
 * How much of the memory that may be unmapped is copied at a time.  The copy should fit into the
 * first-level cache, from which it is read fastest.
 */
#define TRI_COPY_BYTES (32u << 10)

/* Ranges that tri_scan_later() has put off: several small ones are copied by one system call. */
#define TRI_LATER 16
struct tri_later {
	unsigned int n;
	size_t bytes;			/* in all; less than TRI_COPY_BYTES */
	struct {
		uintptr_t lo, hi;
		bool past_end;
	} range[TRI_LATER];
};

struct tri_scanned {
	size_t bytes;			/* how many were read */
	uintptr_t hole;			/* the first word that could not be read; the end if
					 * there is none */
};
struct tri_scanned tri_scan_foreign(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all,
				    bool past_end) TRI_HIDDEN;
void tri_scan_later(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all,
		    bool past_end) TRI_HIDDEN;
void tri_scan_now(struct tri_thread *to, bool all) TRI_HIDDEN;
size_t tri_scan_copy(struct tri_thread *to, uintptr_t from, uintptr_t end) TRI_HIDDEN;
uintptr_t tri_scan_up(struct tri_thread *to, uintptr_t lo, uintptr_t limit, bool all) TRI_HIDDEN;
bool tri_read_foreign(void *to, uintptr_t from, size_t bytes) TRI_HIDDEN;
void tri_scan_detect(void) TRI_HIDDEN;
void tri_scan_range(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_scan_copied(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all,
		     bool past_end) TRI_HIDDEN;
void tri_scan_frame(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_forget_registers(void) TRI_HIDDEN;

/* The callee-saved registers and the stack pointer of the calling function, on x86-64. */
static inline __attribute__((always_inline)) uintptr_t tri_save_registers(uintptr_t regs[6])
{
	uintptr_t sp;

	__asm__ volatile("movq %%rbx, 0(%1)\n\t"
			 "movq %%rbp, 8(%1)\n\t"
			 "movq %%r12, 16(%1)\n\t"
			 "movq %%r13, 24(%1)\n\t"
			 "movq %%r14, 32(%1)\n\t"
			 "movq %%r15, 40(%1)\n\t"
			 "movq %%rsp, %0"
			 : "=&r"(sp)
			 : "r"(regs)
			 : "memory");
	return sp;
}

#endif
