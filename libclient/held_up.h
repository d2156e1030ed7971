/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held_up.h - waits for threads that do not answer: see held_up.c */
#ifndef TRI_HELD_UP_H
#define TRI_HELD_UP_H

#include <stdbool.h>
#include <stdint.h>

#include "attributes.h"

struct tri_thread;

#define TRI_SAY_NS 5000000000ull	/* a machine with much to do lets threads wait for a
					 * second */

/*
 * A signal may find its thread inside; then the thread answers soon.  If not, it is sent again
 * after TRI_RESEND_NS, and then each time after twice as long, up to the other: mostly the thread
 * has no CPU, and each look takes some from it.  Assists lose patience after 20 ms without a sign
 * of life (assist.c).
 */
#define TRI_RESEND_NS 2000000
#define TRI_RESEND_MOST_NS 16000000

static inline int64_t tri_resend_longer(int64_t ns)
{
	return ns < TRI_RESEND_MOST_NS ? 2 * ns : ns;
}

/* One wait; zeroed. */
struct tri_held_up {
	uint64_t since_ns;
	uint32_t answers;		/* of tri_g, before the caller looked last */
	unsigned int waits;
	bool said;
};

bool tri_held_up(struct tri_held_up *h, struct tri_thread *t) TRI_HIDDEN;
void tri_held_up_say(struct tri_thread *t) TRI_HIDDEN;
void tri_held_up_over(void) TRI_HIDDEN;

#endif
