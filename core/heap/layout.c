// SPDX-License-Identifier: LGPL-2.1-or-later
/* layout.c - offsets of an arena's parts: see layout.h */
#include "layout.h"

#include <errno.h>

/*
 * The client and the collector may be of different builds.  These lines fix where both find each
 * field.  A change of one of them needs a new TRI_LAYOUT_VERSION.
 */
#define OFFSET(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)

OFFSET(tri_ctl, magic, 0);
OFFSET(tri_ctl, layout_version, 8);
OFFSET(tri_ctl, ctl_bytes, 12);
OFFSET(tri_ctl, heap_pages, 16);
OFFSET(tri_ctl, file_bytes, 24);
OFFSET(tri_ctl, heap_va, 32);
OFFSET(tri_ctl, pid, 40);
OFFSET(tri_ctl, gc_percent, 64);
OFFSET(tri_ctl, debug, 68);
OFFSET(tri_ctl, memory_limit_bytes, 72);
OFFSET(tri_ctl, limit_policy, 80);
OFFSET(tri_ctl, leaving, 84);
OFFSET(tri_ctl, allocated_bytes, 128);
OFFSET(tri_ctl, top_pages, 136);
OFFSET(tri_ctl, peak_pages, 144);
OFFSET(tri_ctl, slots_top, 152);
OFFSET(tri_ctl, freed_bytes, 160);
OFFSET(tri_ctl, used_pages, 192);
OFFSET(tri_ctl, search, 200);
OFFSET(tri_ctl, trigger_bytes, 256);
OFFSET(tri_ctl, assist_q16, 264);
OFFSET(tri_ctl, goal_bytes, 272);
OFFSET(tri_ctl, live_bytes, 280);
OFFSET(tri_ctl, late_bytes, 288);
OFFSET(tri_ctl, far_bytes, 296);
OFFSET(tri_ctl, credit_bytes, 320);
OFFSET(tri_ctl, work_seq, 328);
OFFSET(tri_ctl, waiting, 332);
OFFSET(tri_ctl, gc_done, 384);
OFFSET(tri_ctl, free_done, 388);
OFFSET(tri_ctl, full_buffers, 448);
OFFSET(tri_ctl, free_buffers, 512);
OFFSET(tri_ctl, buffers_used, 520);
OFFSET(tri_ctl, cycles, 576);
OFFSET(tri_ctl, forced_cycles, 584);
OFFSET(tri_ctl, mark_cpu_ns, 592);
OFFSET(tri_ctl, released_bytes, 600);
OFFSET(tri_ctl, free_backed_bytes, 608);
OFFSET(tri_ctl, checkmark_cycles, 616);
OFFSET(tri_ctl, checkmark_missed, 624);
OFFSET(tri_ctl, assist_marked_bytes, 640);
OFFSET(tri_ctl, assist_scan_bytes, 648);
OFFSET(tri_ctl, assist_objects, 656);
OFFSET(tri_ctl, grey_count, 664);
OFFSET(tri_ctl, assist_ns, 672);
OFFSET(tri_ctl, assist_slept_ns, 680);
OFFSET(tri_ctl, limit_bytes, 704);
OFFSET(tri_ctl, pressure, 712);
OFFSET(tri_ctl, refuse, 716);
OFFSET(tri_ctl, limit_events, 720);
OFFSET(tri_ctl, limited_gc_ns, 728);
OFFSET(tri_ctl, limited_program_ns, 736);
OFFSET(tri_ctl, refused, 744);
OFFSET(tri_ctl, throttle_seq, 768);
OFFSET(tri_ctl, throttled_now, 772);
OFFSET(tri_ctl, throttled, 776);
OFFSET(tri_ctl, throttled_ns, 784);
OFFSET(tri_ctl, throttled_max_ns, 792);
OFFSET(tri_ctl, specials_top, 832);
OFFSET(tri_ctl, specials_live, 836);
OFFSET(tri_ctl, specials_queued, 840);
OFFSET(tri_ctl, specials_run, 848);
SIZE(tri_ctl, 896);
SIZE(tri_slot, 64);
OFFSET(tri_slot, buffer, 0);
SIZE(tri_buffer, 4096);
OFFSET(tri_buffer, next, 0);
OFFSET(tri_buffer, state, 4);
OFFSET(tri_buffer, count, 8);
OFFSET(tri_buffer, entry, 16);
SIZE(tri_special, 32);
OFFSET(tri_special, target, 0);
OFFSET(tri_special, function, 8);
OFFSET(tri_special, argument, 16);
OFFSET(tri_special, next, 24);
OFFSET(tri_special, word, 28);
SIZE(tri_span, 32);
OFFSET(tri_span, state, 0);
OFFSET(tri_span, list_entry, 8);
OFFSET(tri_span, pages, 16);
OFFSET(tri_span, needs_zero, 20);
OFFSET(tri_span, bytes, 24);

/* Parts begin at multiples of 4 KiB, so that no page belongs to two parts. */
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
	layout->cards = part(&end, heap_pages << (TRI_PAGE_SHIFT - TRI_CARD_SHIFT));
	layout->specials_of = part(&end, heap_pages * sizeof(uint32_t));
	layout->specials = part(&end, heap_pages * TRI_SPECIALS_PER_PAGE *
					      sizeof(struct tri_special));
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
	view->specials_of = (void *)(b + layout->specials_of);
	view->specials = (void *)(b + layout->specials);
	view->heap = b + layout->heap;
	view->heap_va = heap_va;
	view->heap_pages = layout->heap_pages;
}
