/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fence.h - fences in all threads, and waiting for threads that are inside: see fence.c */
#ifndef TRI_FENCE_H
#define TRI_FENCE_H

#include <stdbool.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../base/state.h"

struct tri_thread;
struct tri_unresponsive_wait;

/*
 * A signal may be blocked in a thread that does not answer for so long: the second one is sent as
 * well.
 */
#define TRI_AGAIN_NS 100000000

/* The agent, with list_lock, which may be let go of meanwhile. */
void tri_fence_all(void) TRI_HIDDEN;
void tri_quiesce(void) TRI_HIDDEN;
bool tri_cache_lock_for_agent(struct tri_thread *t, struct tri_unresponsive_wait *wait) TRI_HIDDEN;

bool tri_fence_unload(void) TRI_HIDDEN;		/* any thread */

/* For waiting assists: the cycle is held up by the program's own threads, not by its collector. */
static inline void tri_note_progress(void)
{
	atomic_fetch_add_explicit(&tri_g.view.ctl->work_seq, 1, memory_order_relaxed);
}

#endif
