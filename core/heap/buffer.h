/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * buffer.h - buffers of raw pointers on their way from the client to the collector
 *
 * There are two stacks in shared memory.  At `free` many push and pop; a tag guards against ABA.
 * At `full` many push, and one takes everything at once.  Nobody waits: a pop from an empty stack
 * returns at once.
 */
#ifndef TRI_CORE_BUFFER_H
#define TRI_CORE_BUFFER_H

#include "pages.h"

/* Push buffer @index on @queue.  False only when a hostile client keeps it from succeeding. */
static inline bool tri_buffer_push(const struct tri_view *v, tri_au64 *queue, uint32_t index)
{
	uint64_t head = tri_read(queue);
	int i;

	for (i = 0; i < TRI_CAS_TRIES; i++) {
		tri_write(&v->buffers[index].next, (uint32_t)head);
		if (atomic_compare_exchange_weak(queue, &head,
						 ((head >> 32) + 1) << 32 | (index + 1)))
			return true;
	}
	return false;
}

/* Client only.  Returns a free buffer's index + 1, or 0 when all are in use. */
static inline uint32_t tri_buffer_get(const struct tri_view *v)
{
	uint64_t head = tri_read_acquire(&v->ctl->free_buffers);
	uint32_t fresh;

	while ((uint32_t)head) {
		uint32_t next = tri_read(&v->buffers[(uint32_t)head - 1].next);

		if (atomic_compare_exchange_weak(&v->ctl->free_buffers, &head,
						 ((head >> 32) + 1) << 32 | next))
			return (uint32_t)head;
	}
	fresh = tri_read(&v->ctl->buffers_used);
	while (fresh < v->layout.nbuffers)
		if (atomic_compare_exchange_weak(&v->ctl->buffers_used, &fresh, fresh + 1))
			return fresh + 1;
	return 0;
}

#endif
