/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fence.h - memory fences in all threads, and waiting until they are outside: see fence.c */
#ifndef TRI_FENCE_H
#define TRI_FENCE_H

#include <stdbool.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../base/state.h"

struct tri_thread;
struct tri_unresponsive_wait;

/*
 * A thread that has not answered for so long may have blocked the signal.  Then the second signal
 * is sent as well.
 */
#define TRI_AGAIN_NS 100000000

/* The agent calls these with list_lock, which they may release and take again. */
void tri_fence_all(void) TRI_HIDDEN;
void tri_quiesce(void) TRI_HIDDEN;
bool tri_cache_lock_for_agent(struct tri_thread *t, struct tri_unresponsive_wait *wait) TRI_HIDDEN;

bool tri_fence_unload(void) TRI_HIDDEN;		/* any thread */

/* Tell waiting assists that the program's own threads hold up the cycle, not the collector. */
static inline void tri_note_progress(void)
{
	atomic_fetch_add_explicit(&tri_g.view.ctl->work_seq, 1, memory_order_relaxed);
}

#endif
