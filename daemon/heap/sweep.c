// SPDX-License-Identifier: GPL-2.0-only
/*
 * sweep.c - background sweep
 *
 * After a cycle every span has to be swept before the next one may begin.  Allocating threads sweep
 * the spans that they take.  The background sweep takes all the rest in address order, and gives
 * spans without a live object back to the page heap, so that the heap of an idle client shrinks,
 * too.
 *
 * A span is claimed by a compare-and-swap of its state word.  A span that a client is sweeping is
 * left to it and read again later, so a client that is stopped delays nobody but itself.  It may
 * stay stopped for ever in the middle of a span, or only pretend to.  So such spans are read less
 * and less often, only in the part of the heap where some are left, and orders are taken meanwhile.
 */
#include "sweep.h"

#include <sys/socket.h>

#include "arena.h"
#include "channel.h"
#include "orders.h"
#include "core/system/clock.h"
#include "core/heap/span.h"

#define PAUSE_MIN_NS 20000ull
/* A thread that has not finished its span after such a pause does not run. */
#define PAUSE_LONG_NS 5000000ull
#define PAUSE_MAX_NS 100000000ull
#define PAUSE_FACTOR 20			/* a pause is 20 times as long as the pass before it */

/* The pages that are to be swept: from the first one to the one behind the last. */
struct reach {
	uint64_t first, end;
};

static void sweep_large(struct arena *a, uint32_t page, struct tri_span *span, uint64_t state)
{
	const struct tri_view *v = &a->view;
	uint32_t pages = tri_large_pages(v, page);
	uint64_t claimed = TRI_STATE(TRI_STATE_CLASS(state), TRI_SPAN_COLLECTOR, 0,
				     TRI_STATE_CYCLE(state));

	if (!pages || !atomic_compare_exchange_strong(&span->state, &state, claimed))
		return;
	if (tri_span_sweep(v, page, 1, a->cycle))
		tri_write_release(&span->state, TRI_STATE(TRI_STATE_CLASS(state), TRI_SPAN_LARGE, 0,
							  a->cycle));
	else
		tri_span_free(v, page, pages);
}

/* True: the span is swept, or is not ours to sweep.  False: a client is sweeping it. */
static bool sweep_span(struct arena *a, uint32_t page, const struct tri_class *c)
{
	const struct tri_view *v = &a->view;
	struct tri_span *span = &v->spans[page];
	uint64_t state = tri_read_acquire(&span->state);
	unsigned int span_class = TRI_STATE_CLASS(state), live;

	if (&tri_classes[span_class] != c || TRI_STATE_CYCLE(state) == a->cycle)
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
					    TRI_STATE(span_class, TRI_SPAN_COLLECTOR, 0,
						      TRI_STATE_CYCLE(state))))
		return false;
	live = tri_span_sweep(v, page, c->objects, a->cycle);
	/*
	 * Spans that go back to the page heap are clobbered as well, so that a program that has
	 * lost an object fails at once.
	 */
	if (a->debug.clobberfree)
		tri_span_clobber(v, page, c, a->cycle);
	if (!live) {
		tri_span_free(v, page, c->pages);
		return true;
	}
	tri_write(&span->needs_zero, 1);
	tri_write_release(&span->state,
			  TRI_STATE(span_class, TRI_SPAN_IDLE, c->objects - live, a->cycle));
	return true;
}

/* Call @fn for every span in @reach.  Returns the part in which it said false; none: ends at 0. */
static struct reach each_span(struct arena *a, struct reach reach,
			      bool (*fn)(struct arena *a, uint32_t page, const struct tri_class *c))
{
	const struct tri_view *v = &a->view;
	uint64_t page = reach.first, top = tri_read(&v->ctl->top_pages);
	struct reach missed = { 0, 0 };

	if (top > v->heap_pages)
		top = v->heap_pages;
	if (top > reach.end)
		top = reach.end;
	while (page < top) {
		const struct tri_class *c = &tri_classes[tri_read_acquire(&v->page_map[page])];
		uint64_t pages = c->pages;

		/* Free pages are skipped eight at once, as a heap that has shrunk has many. */
		if (!c->size && !c->large) {
			if (!(page & 7) && page + 8 <= top &&
			    !*(volatile uint64_t *)&v->page_map[page])
				page += 8;
			else
				page++;
			continue;
		}
		/* This page is in a span that was freed and made anew meanwhile. */
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
		if (!fn(a, (uint32_t)page, c)) {
			missed.first = missed.end ? missed.first : page;
			missed.end = page + pages;
		}
		page += pages;
	}
	return missed;
}

static const struct reach everything = { 1, UINT64_MAX };

void sweep_all(struct arena *a)
{
	/* The client's end of file ends a wait for a thread that is in the middle of a span. */
	struct pollfd p[ARENA_POLLS];
	struct reach left = everything;
	uint64_t pause_ns = PAUSE_MIN_NS, began, least;

	for (;;) {
		struct timespec pause;

		began = clock_ns();
		left = each_span(a, left, sweep_span);
		if (!left.end)
			return;
		/*
		 * Mostly a client takes microseconds for a span, and the next cycle waits for us.
		 */
		least = pause_ns < PAUSE_LONG_NS ? 0 : (clock_ns() - began) * PAUSE_FACTOR;
		least = pause_ns > least ? pause_ns : least;
		pause = (struct timespec){ (time_t)(least / 1000000000),
					   (long)(least % 1000000000) };
		channel_listen(a, p, POLLRDHUP);
		if (!channel_poll(a, p, ARENA_POLLS, &pause))
			a->stop = true;
		orders_take_polled(a, p);
		if (p[POLL_CLIENT].revents || a->stop)
			return;
		if (pause_ns < PAUSE_MAX_NS)
			pause_ns *= 2;
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

void sweep_clear_marks(struct arena *a)
{
	uint32_t i;

	each_span(a, everything, clear_span);
	for (i = 0; i < TRI_GREY_SLOTS; i++)
		tri_write(&a->view.grey[i], 0);
	tri_write(&a->view.ctl->grey_count, 0);
}
