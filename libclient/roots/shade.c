// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shade.c - shading: a pointer that may be grey goes into the thread's buffer
 *
 * The raw pointer is appended unless its object is marked already.  Marks are not taken back while
 * a mark phase lasts, except from slots that no object is in.
 */
#include "../../core/heap/buffer.h"
#include "../../core/heap/layout.h"
#include "../../core/heap/span.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "shade.h"
#include "../base/state.h"
#include "../threads/thread.h"

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
			/* All buffers are under way: the agent gives this cycle up. */
			tri_write(&tri_g.cycle_is_void, 1);
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
