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
 *
 * Shading appends the raw pointer to the thread's buffer unless its object is marked already.
 * Marks are not taken back while a mark phase lasts, except from slots that no object is in.
 */
#include "../core/heap/buffer.h"
#include "../core/heap/layout.h"
#include "../core/heap/span.h"
#include "../core/system/point.h"
#include "attributes.h"
#include "barrier.h"
#include "checker.h"
#include "inside.h"
#include "state.h"
#include "steps.h"
#include "tricolor.h"

/* A buffer is handed over before the slot stops naming it: the collector reads slots first. */
void tri_flush_buffer(struct tri_thread *t)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t index = t->buffer;

	if (!index)
		return;
	tri_write(&v->buffers[index - 1].state, TRI_BUFFER_FULL);
	tri_buffer_push(v, &v->ctl->full_buffers, index - 1);
	t->buffer = 0;
	tri_write_release(&t->slot->buffer, 0);
	TRI_POINT("buffer.flushed");
}

void tri_append(struct tri_thread *t, uint64_t entry)
{
	const struct tri_view *v = &tri_g.view;
	struct tri_buffer *b;
	uint32_t n;

	if (unlikely(!t->buffer)) {
		uint32_t index = TRI_POINT_FAILS("buffer.get") ? 0 : tri_buffer_get(v);

		if (!index) {
			/* 33 million pointers are under way: the agent gives this cycle up. */
			tri_write(&tri_g.lost, 1);
			return;
		}
		b = &v->buffers[index - 1];
		tri_write(&b->state, TRI_BUFFER_THREAD);
		tri_write(&b->count, 0);
		t->buffer = index;
		tri_write_release(&t->slot->buffer, index);
	}
	b = &v->buffers[t->buffer - 1];
	n = tri_read(&b->count);
	tri_write(&b->entry[n], entry);
	tri_write_release(&b->count, n + 1);
	if (n + 1 == TRI_BUFFER_ENTRIES)
		tri_flush_buffer(t);
}

void tri_shade(struct tri_thread *t, const void *pointer)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t offset = tri_offset(pointer);
	struct tri_object o;

	/* Not against top_pages: every thread writes to that line. */
	if (offset >> TRI_PAGE_SHIFT >= v->heap_pages || !tri_resolve(v, offset, &o))
		return;
	if (!tri_bit(v->marks[~t->gen & 1], o.page, o.index))
		tri_append(t, (uint64_t)(uintptr_t)pointer);
}

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
			void *value = atomic_load_explicit((slot_t *)src + at, memory_order_relaxed);

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
