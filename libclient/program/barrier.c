// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barrier.c - the slow path of the write barrier, and the stores that are not inlined
 *
 * While the thread's barrier is on, a store loads the old value, stores the new one, and shades
 * both.  The thread is inside meanwhile, so that no handshake is answered between the load and the
 * shading.
 *
 * The load and the store need not be one atomic exchange.  Two racing stores may both load the same
 * old value, and then neither of them loads the value that the other one stores.  But a value that
 * is stored while barriers are on is shaded by the thread that stores it, and a value from before
 * that is the one which both load.  An exchange would cost a third of the barrier's time.
 */
#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "../checker/checker.h"
#include "gc.h"
#include "inside.h"
#include "../roots/shade.h"
#include "../base/state.h"
#include "tricolor.h"

typedef _Atomic(void *) slot_t;

/* Store and shade.  The thread is inside, and its barrier is on. */
static inline void put_shaded(struct tri_thread *t, slot_t *slot, void *value)
{
	void *old = atomic_load_explicit(slot, memory_order_relaxed);

	atomic_store_explicit(slot, value, memory_order_release);
	TRI_POINT("store.stored");
	if (old)
		tri_shade(t, old);
	if (value)
		tri_shade(t, value);
}

/* The end of a barrier. */
static inline void leave(struct tri_thread *t)
{
	tri_leave_any(t);
	if (unlikely(tri_g.settings.gc_every))
		tri_step(t);
}

TRI_EXPORT void tri__store_slow(void *slot, const void *value)
{
	struct tri_thread *t = tri_enter_any();

	tri_note(slot);
	if (t && tri_read(&t->marking))
		put_shaded(t, slot, (void *)value);
	else
		atomic_store_explicit((slot_t *)slot, (void *)value, memory_order_release);
	if (t)
		leave(t);
}

TRI_EXPORT int tri_cas(void *slot, const void *expected, const void *value)
{
	struct tri_thread *t = tri_enter_any();
	void *old = (void *)expected;
	int done;

	tri_note(slot);
	done = atomic_compare_exchange_strong((slot_t *)slot, &old, (void *)value);
	if (t) {
		if (done && tri_read(&t->marking)) {
			tri_shade(t, expected);
			tri_shade(t, value);
		}
		leave(t);
	}
	return done;
}

TRI_EXPORT void *tri_exchange(void *slot, const void *value)
{
	struct tri_thread *t = tri_enter_any();
	void *volatile old;

	tri_note(slot);
	old = atomic_exchange((slot_t *)slot, (void *)value);
	if (t) {
		if (tri_read(&t->marking)) {
			tri_shade(t, old);
			tri_shade(t, value);
		}
		leave(t);
	}
	return old;
}

/* After how many words a long move or clear lets the thread answer the agent: some 2 µs. */
#define BATCH 2048

static void put(struct tri_thread *t, bool marking, slot_t *slot, void *value)
{
	tri_note(slot);
	if (marking)
		put_shaded(t, slot, value);
	else
		atomic_store_explicit(slot, value, memory_order_relaxed);
}

TRI_EXPORT void tri_move(void *dst, const void *src, size_t words)
{
	bool up = (uintptr_t)dst <= (uintptr_t)src;
	size_t done = 0;

	while (done < words) {
		size_t n = words - done < BATCH ? words - done : BATCH, i;
		struct tri_thread *t = tri_enter_any();
		bool marking = t && tri_read(&t->marking);

		TRI_POINT("move.inside");
		for (i = 0; i < n; i++) {
			size_t at = up ? done + i : words - 1 - done - i;
			void *value =
				atomic_load_explicit((slot_t *)src + at, memory_order_relaxed);

			put(t, marking, (slot_t *)dst + at, value);
		}
		if (t)
			leave(t);
		TRI_POINT("move.between");
		done += n;
	}
	atomic_thread_fence(memory_order_release);
}

TRI_EXPORT void tri_clear(void *dst, size_t words)
{
	size_t done = 0;

	while (done < words) {
		size_t n = words - done < BATCH ? words - done : BATCH, i;
		struct tri_thread *t = tri_enter_any();
		bool marking = t && tri_read(&t->marking);

		for (i = 0; i < n; i++)
			put(t, marking, (slot_t *)dst + done + i, NULL);
		if (t)
			leave(t);
		done += n;
	}
	atomic_thread_fence(memory_order_release);
}
