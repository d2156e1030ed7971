// SPDX-License-Identifier: GPL-2.0-only
/*
 * sweep.c - background sweep
 *
 * After a cycle every span has to be swept before the next may begin.  Allocating threads sweep what
 * they take; this passes over all the rest, in address order, and gives spans without a live object
 * back to the page heap, so that a client that stands still shrinks too.
 *
 * A span is claimed by a compare-and-swap of its state word.  What a client is sweeping is left to it
 * and looked at again; a stopped client holds up nobody but itself.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "arena.h"
#include "core/span.h"

static void sweep_large(struct arena *a, uint32_t page, struct tri_span *span, uint64_t state)
{
	const struct tri_view *v = &a->view;
	uint32_t pages = tri_large_pages(v, page);
	uint64_t claimed = TRI_STATE(TRI_STATE_BYTE(state), TRI_SPAN_COLLECTOR, 0,
				     TRI_STATE_CYCLE(state));

	if (!pages || !atomic_compare_exchange_strong(&span->state, &state, claimed))
		return;
	if (tri_span_sweep(v, page, 1, a->cycle))
		tri_write_release(&span->state, TRI_STATE(TRI_STATE_BYTE(state), TRI_SPAN_LARGE, 0,
							  a->cycle));
	else
		tri_span_free(v, page, pages);
}

/* True if the span is swept, or none of ours to sweep. */
static bool sweep_span(struct arena *a, uint32_t page, const struct tri_class *c)
{
	const struct tri_view *v = &a->view;
	struct tri_span *span = &v->spans[page];
	uint64_t state = tri_read_acquire(&span->state);
	unsigned int byte = TRI_STATE_BYTE(state), live;

	if (&tri_classes[byte] != c || TRI_STATE_CYCLE(state) == a->cycle)
		return true;
	switch (TRI_STATE_OWNER(state)) {
	case TRI_SPAN_LARGE:
		sweep_large(a, page, span, state);
		return true;
	case TRI_SPAN_CLIENT:
		return false;
	case TRI_SPAN_IDLE:
		break;
	default:
		return true;
	}
	if (!atomic_compare_exchange_strong(&span->state, &state,
					    TRI_STATE(byte, TRI_SPAN_COLLECTOR, 0,
						      TRI_STATE_CYCLE(state))))
		return false;
	live = tri_span_sweep(v, page, c->objects, a->cycle);
	if (!live) {
		tri_span_free(v, page, c->pages);
		return true;
	}
	tri_write(&span->needs_zero, 1);
	if (a->clobberfree)
		tri_span_clobber(v, page, c, a->cycle);
	tri_write_release(&span->state,
			  TRI_STATE(byte, TRI_SPAN_IDLE, c->objects - live, a->cycle));
	return true;
}

/* Call @fn for every span; returns how many times it said false. */
static uint64_t each_span(struct arena *a,
			  bool (*fn)(struct arena *a, uint32_t page, const struct tri_class *c))
{
	const struct tri_view *v = &a->view;
	uint64_t page = 1, top = tri_read(&v->ctl->top_pages), misses = 0;

	if (top > v->heap_pages)
		top = v->heap_pages;
	while (page < top) {
		const struct tri_class *c = &tri_classes[tri_read_acquire(&v->page_map[page])];
		uint64_t pages = c->pages;

		/* Eight free pages at once: the table is mostly zero in a heap that has shrunk. */
		if (!c->size && !c->large) {
			if (!(page & 7) && page + 8 <= top &&
			    !*(volatile uint64_t *)&v->page_map[page])
				page += 8;
			else
				page++;
			continue;
		}
		/* Pages of a span that was freed and taken anew while we came along. */
		if (c->pages != 1 && tri_read(&v->span_of[page]) != page) {
			page++;
			continue;
		}
		if (c->large)
			pages = tri_large_pages(v, (uint32_t)page);
		if (!pages || page + pages > v->heap_pages) {
			page++;
			continue;
		}
		misses += !fn(a, (uint32_t)page, c);
		page += pages;
	}
	return misses;
}

/** Sweep everything after cycle a->cycle.  Returns early if the client goes away. */
void sweep_all(struct arena *a)
{
	while (each_span(a, sweep_span)) {
		/* A thread of the client is in the middle of one.  Its end of file is an event. */
		struct pollfd p = { .fd = a->sock, .events = POLLRDHUP };

		if (poll(&p, 1, 1) > 0)
			return;
	}
}

static bool clear_span(struct arena *a, uint32_t page, const struct tri_class *c)
{
	const struct tri_view *v = &a->view;
	unsigned int i, words = c->large ? 1 : (c->objects + 63u) / 64;

	tri_write(&v->queued[page], 0);
	for (i = 0; i < words; i++) {
		tri_write(&v->marks[~a->cycle & 1][page][i], 0);
		tri_write(&v->scanned[page][i], 0);
	}
	return true;
}

/** A collector before us may have died while marking: clear what it marked, queued and offered. */
void sweep_clear_marks(struct arena *a)
{
	uint32_t i;

	each_span(a, clear_span);
	for (i = 0; i < TRI_GREY_SLOTS; i++)
		tri_write(&a->view.grey[i], 0);
	tri_write(&a->view.ctl->grey_count, 0);
}
