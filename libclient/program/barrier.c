// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barrier.c - the write barrier's slow path and its relatives
 *
 * While the thread's barrier is on, a store loads what is there, stores, and shades what it
 * removed and what it put in.  The thread is inside meanwhile, so that no handshake is answered
 * between the load and the shading.  It need not exchange: of two racing stores both may see the
 * same old value, and neither the other's; but a value that is put into a slot while barriers are
 * on is shaded by the thread that does, and one from before is what both of them see.  An
 * exchange would cost a third of the barrier.
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

/* Store while marking.  The thread is inside. */
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

/* A barrier is over. */
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

/* Words between two looks at whether the collector waits: some 2 µs. */
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
