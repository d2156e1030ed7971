// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shade.c - shading: the pointer to an object that becomes grey goes into the thread's buffer
 *
 * The raw pointer is appended unless its object is marked already.  While a mark phase lasts, a
 * mark is only removed from a slot that holds no object.
 */
#include "../../core/heap/buffer.h"
#include "../../core/heap/layout.h"
#include "../../core/heap/span.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "shade.h"
#include "../base/state.h"
#include "../threads/thread.h"

/*
 * Hand the thread's buffer over to the collector.  The collector reads the slots first, and then
 * the list of full buffers.  So the buffer is put on the list before the slot is cleared.
 */
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
			/* No buffer is free.  The pointer is lost, so nothing may be freed. */
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

	/* Not compared with top_pages, which is in a cache line that every thread writes to. */
	if (offset >> TRI_PAGE_SHIFT >= v->heap_pages || !tri_resolve(v, offset, &o))
		return;
	if (!tri_bit(v->marks[~t->gen & 1], o.page, o.index))
		tri_append(t, (uint64_t)(uintptr_t)pointer);
}
