/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * visit.h - the agent scans a thread that is not attached, while that thread waits in the handler
 * of the handshake signal
 *
 * unattached.c asks for visits; visit.c has what the visited thread does.
 */
#ifndef TRI_VISIT_H
#define TRI_VISIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <ucontext.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

#define TRI_VISITS 16384u		/* at most so many in a cycle */

/*
 * A visit's state.  The upper half of the word is the thread's ID: a thread that gets the signal
 * late finds another ID there, and ignores it.  The thread changes the state from ASKED to TAKEN
 * and then to WAITING.  The agent makes all other changes.
 */
enum { TRI_VISIT_ASKED = 1, TRI_VISIT_TAKEN, TRI_VISIT_WAITING, TRI_VISIT_OVER };

struct tri_visit {
	tri_au64 state;			/* lower half: a futex */
	/* The thread writes these before TRI_VISIT_WAITING. */
	bool stranger;			/* the library's pthread_create() has not begun it */
	bool attaching;			/* it may have list_lock, and scans itself when it is
					 * attached */
	struct timespec began;
	uintptr_t sp, frame, frame_end, thread_pointer, signal_lo, signal_hi;
	void *fake_stack;
	bool scanned;			/* in this cycle; written by the agent */
};

/* TRI_VISITS records, which the agent maps before the heap is ready.  NULL: there are no visits. */
extern struct tri_visit *tri_visits TRI_HIDDEN;
extern uint32_t tri_visits_used TRI_HIDDEN;	/* in this cycle; only the agent's */

static inline uint64_t tri_visit_state(pid_t tid, unsigned int what)
{
	return (uint64_t)(uint32_t)tid << 32 | what;
}

static inline pid_t tri_visit_tid(struct tri_visit *v)
{
	return (pid_t)(tri_read_acquire(&v->state) >> 32);
}

/* Acquire: pairs with the release of TRI_VISIT_WAITING in tri_visit(). */
static inline unsigned int tri_visit_what(struct tri_visit *v)
{
	return (unsigned int)tri_read_acquire(&v->state);
}

bool tri_visit(const siginfo_t *info, const ucontext_t *uc, uintptr_t sp, uintptr_t frame_end)
	TRI_HIDDEN;

#endif
