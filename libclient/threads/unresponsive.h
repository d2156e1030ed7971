/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unresponsive.h - waiting for threads that do not answer: see unresponsive.c */
#ifndef TRI_UNRESPONSIVE_H
#define TRI_UNRESPONSIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

#define TRI_REPORT_NS 5000000000ull	/* on a busy machine a thread may get no CPU for a
					 * second, which should not be reported */

/*
 * When a signal is sent again.  A signal may find its thread inside the library, and then the
 * thread answers soon.  If it does not, the signal is sent again after TRI_RESEND_NS, and then each
 * time after twice as long, up to TRI_RESEND_MOST_NS: mostly the thread has no CPU, and each signal
 * costs it some.  Threads that assist give up waiting after 20 ms without a sign of life
 * (assist.c).
 */
#define TRI_RESEND_NS 2000000
#define TRI_RESEND_MOST_NS 16000000

static inline int64_t tri_resend_longer(int64_t ns)
{
	return ns < TRI_RESEND_MOST_NS ? 2 * ns : ns;
}

/* The state of one wait, zeroed before it. */
struct tri_unresponsive_wait {
	uint64_t since_ns;
	uint32_t answers;		/* tri_g.answers, read before the caller last
					 * looked whether the thread has answered */
	unsigned int waits;
	bool said;
};

bool tri_unresponsive_wait(struct tri_unresponsive_wait *h, struct tri_thread *t) TRI_HIDDEN;
void tri_unresponsive_report(struct tri_thread *t) TRI_HIDDEN;
void tri_unresponsive_over(void) TRI_HIDDEN;

#endif
