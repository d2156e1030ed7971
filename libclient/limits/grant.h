/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* grant.h - what the heap may take before its control groups are at their limits: see grant.c */
#ifndef TRI_GRANT_H
#define TRI_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

#define TRI_VALID_NS 100000000ull	/* what a measurement has found is valid for so long */

/*
 * The account.  Written by the agent when it measures, but for @taken_bytes, and read by any
 * thread.  Bytes that say "at" are values of @taken_bytes.
 */
struct tri_grant {
	tri_au32 enforced;		/* some group has a limit.  Written last, with release:
					 * pairs with the acquire in tri_grant_may_take() */
	tri_au64 taken_bytes;		/* by the heap, since its start; page heap's lock */
	tri_as64 end_bytes;		/* at which the headroom is used up */
	tri_as64 reserve_bytes;		/* the reserve begins where so much headroom is left */
	tri_as64 grant_bytes;		/* that the last measurement granted, above the reserve */
	tri_as64 granted_bytes;		/* at which the grant is used up */
	tri_au32 heaps;			/* that share the limit, this one included */
	tri_au64 past_bytes;		/* that threads may take past the headroom in a cycle */
	tri_au64 measured_ns;		/* when the last measurement began */
	tri_au32 begun, ended;		/* the numbers of the last measurement that has begun, and
					 * of the last that has ended */
	tri_au32 waiting;		/* threads that wait for a measurement; any thread */
};

extern struct tri_grant tri_grant TRI_HIDDEN;

/* Called by the agent; the last one in the child of a fork(). */
void tri_grant_measure(void) TRI_HIDDEN;
void tri_grant_measure_if_asked(void) TRI_HIDDEN;
int64_t tri_grant_room(void) TRI_HIDDEN;
void tri_grant_cycle_over(void) TRI_HIDDEN;
void tri_grant_reset(void) TRI_HIDDEN;

/* Called by any thread; the last two inside. */
void tri_grant_ask(void) TRI_HIDDEN;
bool tri_grant_may_take(uint64_t pages) TRI_HIDDEN;
void tri_grant_took(uint64_t pages) TRI_HIDDEN;

/** What is left of the headroom. */
static inline int64_t tri_grant_headroom(void)
{
	return tri_read(&tri_grant.end_bytes) - (int64_t)atomic_load(&tri_grant.taken_bytes);
}

#endif
