/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* coroutine.h - stacks that a thread may leave and come back to: see coroutine.c */
#ifndef TRI_COROUTINE_H
#define TRI_COROUTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "stack.h"
#include "../base/state.h"
#include "../threads/thread.h"

/* tri_stack.state.  Rules 1 to 3 in coroutine.c say who changes it. */
enum {
	TRI_STACK_FREE,			/* the descriptor is not in use */
	TRI_STACK_RUNNING,
	TRI_STACK_SUSPENDED,
	TRI_STACK_CLAIMED,
	TRI_STACK_SCANNED,
	TRI_STACK_SHRINKING,		/* the agent's: a thread that wants it waits */
};

/* Descriptors, for switching.c.  Inside. */
struct tri_stack *tri_coroutine_new(void) TRI_HIDDEN;
void tri_coroutine_put(struct tri_stack *s) TRI_HIDDEN;
uint32_t tri_coroutine_state(struct tri_stack *s) TRI_HIDDEN;
struct tri_stack *tri_coroutine_own(struct tri_thread *t, bool here) TRI_HIDDEN;
void tri_coroutine_scan_left(const struct tri_stack *s, struct tri_thread *to, bool all) TRI_HIDDEN;

static inline bool tri_coroutine_answered(const struct tri_thread *t)
{
	return tri_read(&t->marking) && tri_read(&t->scanned_cycle) == tri_g.cycle;
}

void tri_coroutines_scan(struct tri_thread *to, bool all) TRI_HIDDEN;	/* agent */
void tri_coroutines_forget_scans(void) TRI_HIDDEN;			/* agent */
void tri_coroutine_attach(struct tri_thread *t, uintptr_t sp) TRI_HIDDEN;
void tri_coroutine_detach(struct tri_thread *t) TRI_HIDDEN;		/* list_lock */
void tri_coroutines_reset(bool copied) TRI_HIDDEN;

#endif
