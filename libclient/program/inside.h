/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inside.h - coming into the library, and going out of it
 *
 * A thread inside the library answers nothing; its request waits in `pending` and is answered on
 * the way out.  The agent's fence (membarrier) orders the store to `visits` before what follows, so
 * that the thread needs no fence of its own: see fence.c.
 *
 * A signal handler of the program may come inside too.  Depth and visits change in one store, so
 * that it finds its thread inside, with an odd number of visits, or outside, with an even one.  One
 * that comes between our load and store changes nothing but the number, if we were outside: it is
 * lower by two then, and odd all the same.
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

/* Outside, and to be inside. */
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

	/* No tls: the record is wiped; this is a child of _Fork() or clone(): see raw_fork.c. */
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
 * As tri_enter(), for stores: a thread for which no slot is left shades into a record that all such
 * threads share.  It has list_lock meanwhile, in place of being inside: no phase begins or ends.
 * NULL: there is no heap.
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
