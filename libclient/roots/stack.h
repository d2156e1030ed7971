/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stack.h - where the stack of a thread is, and the scan of it
 *
 * struct tri_stack is for stacks that a thread may leave: see coroutine.h.
 */
#ifndef TRI_STACK_H
#define TRI_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

struct tri_thread;

/* A stack that its thread may leave.  Never unmapped.  Owner: see coroutine.c. */
struct tri_stack {
	tri_au32 state;			/* who may do what; coroutine.c */
	bool grows;			/* it may begin below lo, the lowest address seen */
	bool shrinks;			/* its memory is of tri_stack_new(): stack_memory.c */
	tri_au32 on_it;			/* the cycle in which a thread that had left it by
					 * tri_stack_switch() was still on it; 0: none */
	uintptr_t lo, hi;
	uintptr_t sp;			/* when nobody runs on it: it is used from here up; 0:
					 * not known, all of it may be used */
	uintptr_t regs[6];		/* of the thread that left it, when it left */
	void *fake_stack;		/* the address sanitizer's */
	struct tri_thread *owner;	/* the thread that was started on it; NULL: registered */
	struct tri_stack *next_free;
};

void tri_stack_learn(void) TRI_HIDDEN;				/* agent, once */
void tri_stack_find(struct tri_thread *t, pthread_t self, bool in_handler) TRI_HIDDEN;
void tri_stack_note(struct tri_thread *t) TRI_HIDDEN;		/* the thread */
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all) TRI_HIDDEN;
int tri_stack_check(void) TRI_HIDDEN;
void *tri_fake_stack(void) TRI_HIDDEN;
void tri_scan_fake_frames(struct tri_thread *to, void *fake_stack, uintptr_t lo, uintptr_t hi,
			  bool all) TRI_HIDDEN;
bool tri_stack_is_own(struct tri_thread *t, uintptr_t sp) TRI_HIDDEN;
uintptr_t tri_stack_lowest(uintptr_t lo) TRI_HIDDEN;
void tri_stack_complain(void) TRI_HIDDEN;			/* agent */

#endif
