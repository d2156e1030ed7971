/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* throttle.h - threads are held back before the kernel's limit is reached: see throttle.c */
#ifndef TRI_THROTTLE_H
#define TRI_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

/*
 * The state of an allocation's wait, from its first refusal on.  It is on the stack of the thread.
 * tri_throttle_begin() sets the first three fields, and the first refusal all others.
 */
struct tri_throttled {
	/*
	 * Whole words, of which no byte keeps what was on the stack before.  Three bytes of zeros
	 * in a word that had a pointer into a library make an address that may lie in a small
	 * arena, and the object there was kept by the cycle that the allocation waits for.
	 */
	uint64_t refused;		/* memory was refused, and the rest is set */
	uint64_t begun;			/* it has begun to wait in the reserve */
	uint64_t failed;		/* it has waited, and has got nothing */
	uint64_t bytes;			/* how many it was refused */
	uint32_t gen;			/* completed cycles when it last tried */
	uint32_t first_gen;		/* completed cycles when the wait began */
	uint32_t gc;			/* the cycle that it has asked for; 0: none */
	uint64_t turn_ns;		/* when it may go on; 0: there is no such time */
	uint64_t turn_bytes;		/* how many it may take then */
	bool due;			/* the time of the turn has come */
	uint32_t measurement;		/* the last that had begun when one was needed: a later
					 * one is waited for */
	bool for_measurement;		/* it waits for a measurement only */
	uint64_t until_ns;		/* the end of a wait for a measurement; 0: there was none */
	uint64_t ns;			/* waited */
	uint64_t progress;		/* tri_progress() when it began */
};

/* In the child of a fork(). */
void tri_throttle_reset(void) TRI_HIDDEN;

/* A thread that is about to allocate, inside. */
static inline void tri_throttle_begin(struct tri_throttled *w)
{
	w->refused = w->begun = w->failed = false;
}

/* The same thread, outside. */
bool tri_throttle_wait(struct tri_thread *t, struct tri_throttled *w) TRI_HIDDEN;
void tri_throttle_end(struct tri_thread *t, const struct tri_throttled *w) TRI_HIDDEN;
int tri_throttle_why(void) TRI_HIDDEN;

#endif
