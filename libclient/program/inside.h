/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inside.h - how a thread enters and leaves the library
 *
 * A thread that is inside answers no handshake.  A request waits in `pending`, and is answered when
 * the thread leaves.  The agent's fence (membarrier) orders the store to `visits` before what
 * follows it, so the thread needs no fence of its own: see fence.c.
 *
 * A signal handler of the program may call the library as well.  Depth and visits change in one
 * store.  So a handler finds its thread either inside, with an odd number of visits, or outside,
 * with an even one.  A handler that runs between the load and the store of tri_enter() adds two
 * visits, which that store then drops from the count.  The number is odd all the same.
 */
#ifndef TRI_INSIDE_H
#define TRI_INSIDE_H

#include "../start/attach.h"
#include "../base/attributes.h"
#include "../threads/region.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"

#define TRI_VISIT (1ull << 32)

/* Mark the thread, which is outside, as inside. */
static inline void tri_go_in(struct tri_thread *t)
{
	tri_write(&t->inside, tri_read(&t->inside) + TRI_VISIT + 1);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void tri_come_out(struct tri_thread *t)
{
	atomic_signal_fence(memory_order_seq_cst);
	tri_write_release(&t->inside, tri_read(&t->inside) + TRI_VISIT - 1);
}

static inline struct tri_thread *tri_enter(void)
{
	struct tri_thread *t = tri__tls.thread;
	uint64_t inside;

	/* Without tls the record was wiped, in a child of _Fork() or clone(): see raw_fork.c. */
	if (unlikely(!t || !t->tls)) {
		t = tri_attach_self();
		if (!t)
			return NULL;
	}
	if (unlikely(tri_in_region()) && !t->depth)
		tri_region_end(t);
	inside = tri_read(&t->inside);
	if (likely(!(uint32_t)inside))
		tri_write(&t->inside, inside + TRI_VISIT + 1);
	else
		tri_write(&t->inside, inside + 1);
	atomic_signal_fence(memory_order_seq_cst);
	return t;
}

static inline void tri_leave(struct tri_thread *t)
{
	uint64_t inside = tri_read(&t->inside);

	atomic_signal_fence(memory_order_seq_cst);
	if (likely((uint32_t)inside == 1)) {
		tri_write_release(&t->inside, inside + TRI_VISIT - 1);
		atomic_signal_fence(memory_order_seq_cst);
		if (unlikely(tri_read(&t->pending)))
			tri_answer(t);
	} else {
		tri_write(&t->inside, inside - 1);
	}
}

/*
 * Like tri_enter(), for stores, and also for a thread for which no slot is left.  All such threads
 * share one record, into which they shade.  Such a thread is not inside.  It holds list_lock
 * instead, so that no phase begins or ends.  NULL: there is no heap.
 */
static inline struct tri_thread *tri_enter_any(void)
{
	struct tri_thread *t = tri_enter();

	return likely(t) ? t : tri_common_enter();
}

static inline void tri_leave_any(struct tri_thread *t)
{
	if (unlikely(t == tri_g.common))
		tri_common_leave();
	else
		tri_leave(t);
}

#endif
