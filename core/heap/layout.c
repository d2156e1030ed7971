// SPDX-License-Identifier: LGPL-2.1-or-later
/* layout.c - offsets of an arena's parts: see layout.h */
#include "layout.h"

#include <errno.h>

/* Parts begin at multiples of 4 KiB, so that no page has two purposes. */
static uint64_t part(uint64_t *offset, uint64_t bytes)
{
	uint64_t at = *offset;

	*offset = (at + bytes + 4095) & ~4095ull;
	return at;
}

int tri_layout_init(struct tri_layout *layout, uint64_t heap_pages)
{
	uint64_t end = 0;

	if (heap_pages < TRI_MIN_HEAP_PAGES || heap_pages > TRI_MAX_HEAP_PAGES ||
	    heap_pages % TRI_CHUNK_PAGES)
		return -EINVAL;
	layout->heap_pages = heap_pages;
	layout->nbuffers = heap_pages < TRI_MIN_BUFFERS ? TRI_MIN_BUFFERS :
			   heap_pages < TRI_BUFFERS ? (uint32_t)heap_pages : TRI_BUFFERS;
	part(&end, sizeof(struct tri_ctl));
	layout->slots = part(&end, TRI_SLOTS * sizeof(struct tri_slot));
	layout->page_map = part(&end, heap_pages);
	layout->span_of = part(&end, heap_pages * sizeof(uint32_t));
	layout->spans = part(&end, heap_pages * sizeof(struct tri_span));
	layout->used = part(&end, heap_pages / 8);
	layout->backed = part(&end, heap_pages / 8);
	layout->chunks = part(&end, heap_pages / TRI_CHUNK_PAGES * sizeof(uint32_t));
	layout->marks[0] = part(&end, heap_pages * TRI_MARK_WORDS * 8);
	layout->marks[1] = part(&end, heap_pages * TRI_MARK_WORDS * 8);
	layout->scanned = part(&end, heap_pages * TRI_MARK_WORDS * 8);
	layout->ptrmap = part(&end, heap_pages * TRI_PTRMAP_WORDS * 8);
	layout->queued = part(&end, heap_pages);
	layout->grey = part(&end, TRI_GREY_SLOTS * sizeof(uint32_t));
	layout->buffers = part(&end, layout->nbuffers * sizeof(struct tri_buffer));
	end = (end + TRI_HUGE_BYTES - 1) & ~(TRI_HUGE_BYTES - 1);
	layout->heap = end;
	layout->file_bytes = end + (heap_pages << TRI_PAGE_SHIFT);
	return 0;
}

void tri_view_init(struct tri_view *view, void *base, const struct tri_layout *layout,
		   uint64_t heap_va)
{
	char *b = base;

	view->layout = *layout;
	view->ctl = base;
	view->slots = (void *)(b + layout->slots);
	view->page_map = (void *)(b + layout->page_map);
	view->span_of = (void *)(b + layout->span_of);
	view->spans = (void *)(b + layout->spans);
	view->used = (void *)(b + layout->used);
	view->backed = (void *)(b + layout->backed);
	view->chunks = (void *)(b + layout->chunks);
	view->marks[0] = (void *)(b + layout->marks[0]);
	view->marks[1] = (void *)(b + layout->marks[1]);
	view->scanned = (void *)(b + layout->scanned);
	view->ptrmap = (void *)(b + layout->ptrmap);
	view->queued = (void *)(b + layout->queued);
	view->grey = (void *)(b + layout->grey);
	view->buffers = (void *)(b + layout->buffers);
	view->heap = b + layout->heap;
	view->heap_va = heap_va;
	view->heap_pages = layout->heap_pages;
}
