// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * central.c - lists of the spans of each class and kind, from which thread caches refill
 *
 * A list has every span of one span class, and a cursor that goes around it once a cycle.  It
 * begins at the first span that had a free slot in the last one, so that objects gather in the same
 * spans, and others are freed whole; or where it stood, if none had.  A refill takes spans from it
 * one by one and sweeps what the collector has not swept yet (lazy sweeping) until one has a free
 * slot.  Each span is passed once a cycle, so that refills cost no more than the sweep they do.
 * Spans that come back half-used (a thread ended) are kept beside it, in `partial`.
 *
 * A refill goes past PASS_MAX full spans and no further.  So if each cycle began at the front, a
 * class of which little is allocated in a cycle would never get past those that are full there, and
 * take fresh pages in each.  Where there are no fresh pages a refill goes past any number.
 *
 * The collector frees whole spans without telling: an entry is good only if the span's `list_entry`
 * names it.  Stale entries are dropped when the cursor meets them.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "../core/heap/layout.h"
#include "../core/heap/sizeclass.h"
#include "../core/heap/span.h"
#include "central.h"
#include "lock.h"
#include "pageheap.h"
#include "state.h"
#include "touch.h"

/* A refill that has passed this many full spans takes fresh pages instead. */
#define PASS_MAX 64
#define NONE UINT32_MAX

struct list {
	struct tri_lock lock;
	uint32_t *span;
	uint32_t n, room;
	uint32_t start, cursor;			/* in this cycle from start to n, and then from 0
						 * to start */
	uint32_t first;				/* that had a free slot in this cycle; NONE */
	bool around;				/* the second of these */
	uint32_t *partial;
	uint32_t npartial, partial_room;
};

static struct list lists[TRI_SPAN_CLASS_LARGE];

void tri_central_init(void)
{
	unsigned int i;

	for (i = 0; i < TRI_SPAN_CLASS_LARGE; i++) {
		struct list *l = &lists[i];

		/* A forked child forgets the parent's lists, and their memory with them. */
		munmap(l->span, l->room * sizeof(uint32_t));
		munmap(l->partial, l->partial_room * sizeof(uint32_t));
		*l = (struct list){ .first = NONE };
	}
}

static void release(unsigned int n)
{
	while (n--)
		tri_unlock(&lists[n].lock);
}

/** For fork(): nobody changes the lists.  False if that can't be had until @ns. */
bool tri_central_hold(uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < TRI_SPAN_CLASS_LARGE; i++) {
		if (!tri_lock_until(&lists[i].lock, ns)) {
			release(i);
			return false;
		}
	}
	return true;
}

void tri_central_release(void)
{
	release(TRI_SPAN_CLASS_LARGE);
}

/* mmap, not malloc: the program's malloc may be what called us. */
static bool grow(uint32_t **array, uint32_t *room)
{
	uint32_t more = *room ? *room * 2 : 1024;
	void *p;

	if (*room)
		p = mremap(*array, *room * sizeof(uint32_t), more * sizeof(uint32_t),
			   MREMAP_MAYMOVE);
	else
		p = mmap(NULL, more * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	*array = p;
	*room = more;
	return true;
}

static uint64_t list_entry(unsigned int span_class, uint32_t index)
{
	return (uint64_t)span_class << 32 | index;
}

/*
 * Put @spans spans that lie one behind the other into their list.  Without memory for the list
 * their free slots wait for the collector.
 */
void tri_central_add(uint32_t page, unsigned int spans, unsigned int span_class)
{
	struct list *l = &lists[span_class];

	tri_lock(&l->lock);
	for (; spans && (l->n < l->room || grow(&l->span, &l->room)); spans--) {
		tri_write(&tri_g.view.spans[page].list_entry, list_entry(span_class, l->n));
		l->span[l->n] = page;
		/* A fresh span has nothing for this cycle's cursor. */
		if (!l->around && l->cursor == l->n)
			l->cursor++;
		l->n++;
		page += tri_classes[span_class].pages;
	}
	tri_unlock(&l->lock);
}

/*
 * The span at @page, just taken, becomes one of @span_class.  Others are not to claim it: CACHED.
 */
static void make_span(uint32_t gen, unsigned int span_class, uint32_t page, bool needs_zero)
{
	const struct tri_view *v = &tri_g.view;
	const struct tri_class *c = &tri_classes[span_class];
	unsigned int w, words = (c->objects + 63u) / 64, i;

	/* Metadata first, span classes last: a pointer leads here only when all is in place. */
	for (w = 0; w < words; w++) {
		tri_write(&v->marks[0][page][w], 0);
		tri_write(&v->marks[1][page][w], 0);
		tri_write(&v->scanned[page][w], 0);
	}
	tri_write(&v->queued[page], 0);
	/* A pointer into a slot that is not typed yet must not find a hole here. */
	for (i = 0; i < c->pages && c->kind == TRI__TYPED; i++)
		(void)tri_read(&v->ptrmap[page + i][0]);
	/* The collector writes into free slots then. */
	if (tri_g.settings.clobberfree)
		tri_touch(c, v->heap + ((uint64_t)page << TRI_PAGE_SHIFT), c->objects, false);
	tri_write(&v->spans[page].pages, c->pages);
	tri_write(&v->spans[page].needs_zero, needs_zero);
	tri_write_release(&v->spans[page].state,
			  TRI_STATE(span_class, TRI_SPAN_CACHED, c->objects, gen));
	for (i = 0; i < c->pages && c->pages > 1; i++)
		tri_write(&v->span_of[page + i], page);
	for (i = 0; i < c->pages; i++)
		tri_write_release(&v->page_map[page + i], (uint8_t)span_class);
}

/**
 * Spans of @span_class with fresh pages, one behind the other, owned by the caller and in the list
 * already: *@run of them, or one if there are no pages for so many.  Returns the page of the first;
 * 0: the heap is full.
 */
uint32_t tri_central_grow(uint32_t gen, unsigned int span_class, unsigned int *run)
{
	uint32_t pages = tri_classes[span_class].pages, page;
	unsigned int i;
	bool backed;

	page = tri_pageheap_take(*run * pages, 1, &backed);
	if (!page && *run > 1) {
		*run = 1;
		page = tri_pageheap_take(pages, 1, &backed);
	}
	if (!page)
		return 0;
	for (i = 0; i < *run; i++)
		make_span(gen, span_class, page + i * pages, backed || tri_g.settings.clobberfree);
	tri_central_add(page, *run, span_class);
	return page;
}

void tri_central_put(uint32_t page, unsigned int span_class)
{
	struct list *l = &lists[span_class];

	tri_lock(&l->lock);
	if (l->npartial < l->partial_room || grow(&l->partial, &l->partial_room))
		l->partial[l->npartial++] = page;
	tri_unlock(&l->lock);
}

/* Drop entry @i, which is stale.  The last entry takes its place if it is good itself. */
static void drop(struct list *l, uint32_t i, unsigned int span_class)
{
	uint32_t last = --l->n;
	uint64_t was = list_entry(span_class, last);

	if (i == last)
		return;
	l->span[i] = l->span[last];
	atomic_compare_exchange_strong(&tri_g.view.spans[l->span[i]].list_entry, &was,
				       list_entry(span_class, i));
}

/*
 * Whether the cursor points to a span that it has not passed in this cycle; it may go around for
 * that.
 */
static bool has_next(struct list *l)
{
	if (!l->around && l->cursor >= l->n) {
		l->cursor = 0;
		l->around = true;
	}
	return l->cursor < l->n && (!l->around || l->cursor < l->start);
}

/* Without the lock.  What another thread adds at this moment is missed: fresh pages do as well. */
static bool is_done(const struct list *l)
{
	uint32_t cursor = __atomic_load_n(&l->cursor, __ATOMIC_RELAXED),
		 n = __atomic_load_n(&l->n, __ATOMIC_RELAXED);
	uint32_t start = __atomic_load_n(&l->start, __ATOMIC_RELAXED);

	if (__atomic_load_n(&l->npartial, __ATOMIC_RELAXED))
		return false;
	if (__atomic_load_n(&l->around, __ATOMIC_RELAXED))
		return cursor >= n || cursor >= start;
	return cursor >= n && !start;
}

/*
 * The next span that may have free slots, or 0.  @index: where the cursor found it; NONE: beside
 * the list.
 */
static uint32_t next_candidate(struct list *l, unsigned int span_class, uint32_t *index)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t page = 0;

	*index = NONE;
	if (is_done(l))
		return 0;
	tri_lock(&l->lock);
	if (l->npartial) {
		page = l->partial[--l->npartial];
	} else {
		while (has_next(l)) {
			uint32_t i = l->cursor, p = l->span[i];
			uint64_t state = tri_read(&v->spans[p].state);

			if (tri_read(&v->spans[p].list_entry) != list_entry(span_class, i) ||
			    TRI_STATE_CLASS(state) != span_class) {
				drop(l, i, span_class);
				continue;
			}
			l->cursor++;
			*index = i;
			page = p;
			break;
		}
	}
	tri_unlock(&l->lock);
	return page;
}

/* Claim the span at @page, swept, with a free slot.  False: someone has it, or it is full. */
static bool claim(uint32_t page, unsigned int span_class, uint32_t gen)
{
	const struct tri_view *v = &tri_g.view;
	const struct tri_class *c = &tri_classes[span_class];
	struct tri_span *span = &v->spans[page];
	uint64_t state = tri_read_acquire(&span->state), next;
	unsigned int nfree;

	if (TRI_STATE_CLASS(state) != span_class || TRI_STATE_OWNER(state) != TRI_SPAN_IDLE)
		return false;
	/* Made by a thread that has changed over to a cycle that this one is yet to change to. */
	if ((int32_t)(TRI_STATE_CYCLE(state) - gen) > 0)
		return false;
	if (TRI_STATE_CYCLE(state) == gen) {
		next = TRI_STATE(span_class, TRI_SPAN_CACHED, TRI_STATE_NFREE(state), gen);
		return TRI_STATE_NFREE(state) &&
		       atomic_compare_exchange_strong(&span->state, &state, next);
	}
	next = TRI_STATE(span_class, TRI_SPAN_CLIENT, 0, TRI_STATE_CYCLE(state));
	if (!atomic_compare_exchange_strong(&span->state, &state, next))
		return false;
	nfree = c->objects - tri_span_sweep(v, page, c->objects, gen);
	if (nfree) {
		tri_write(&span->needs_zero, 1);
		if (tri_g.settings.clobberfree)
			tri_span_clobber(v, page, c, gen);
	}
	next = TRI_STATE(span_class, nfree ? TRI_SPAN_CACHED : TRI_SPAN_IDLE, nfree, gen);
	tri_write_release(&span->state, next);
	return nfree != 0;
}

static void note_first(struct list *l, uint32_t index)
{
	tri_lock(&l->lock);
	if (l->first == NONE)
		tri_write(&l->first, index);
	tri_unlock(&l->lock);
}

/**
 * A span of @span_class that the caller now owns, with state CACHED; 0: take fresh pages.
 * @all: there are none; whatever free slot this cycle has left is looked for.
 */
uint32_t tri_central_take(uint32_t gen, unsigned int span_class, bool all)
{
	struct list *l = &lists[span_class];
	int i;

	/* While threads change over to a new cycle, old spans are out of bounds. */
	if (tri_read_acquire(&tri_g.sweepable) != gen)
		return 0;
	for (i = 0; all || i < PASS_MAX; i++) {
		uint32_t index, page = next_candidate(l, span_class, &index);

		if (!page)
			return 0;
		if (!claim(page, span_class, gen))
			continue;
		if (index != NONE && tri_read(&l->first) == NONE)
			note_first(l, index);
		return page;
	}
	return 0;
}

/* Agent, when every thread has changed over: a cycle's worth of spans may be swept. */
void tri_central_restart(void)
{
	unsigned int i;

	for (i = 1; i < TRI_SPAN_CLASS_LARGE; i++) {
		struct list *l = &lists[i];

		tri_lock(&l->lock);
		l->start = l->first != NONE ? l->first : l->cursor;
		if (l->start >= l->n)
			l->start = 0;
		l->cursor = l->start;
		tri_write(&l->first, NONE);
		l->around = false;
		l->npartial = 0;
		tri_unlock(&l->lock);
	}
}

/* The collector died: spans that it was sweeping are unswept again (sweeping is repeatable). */
void tri_central_recover(void)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t page = 1, top = tri_read(&v->ctl->top_pages);

	while (page < top) {
		const struct tri_class *c = &tri_classes[tri_read(&v->page_map[page])];
		struct tri_span *span = &v->spans[page];
		uint64_t state = tri_read(&span->state);
		uint32_t pages;

		if (TRI_STATE_OWNER(state) == TRI_SPAN_COLLECTOR) {
			const struct tri_class *was = &tri_classes[TRI_STATE_CLASS(state)];
			uint32_t i;

			pages = was->large ? tri_read(&span->pages) : was->pages;
			/* It may have begun to free it; then the span classes are incomplete. */
			for (i = 0; i < pages; i++)
				tri_write(&v->page_map[page + i], (uint8_t)TRI_STATE_CLASS(state));
			tri_write(&span->state,
				  TRI_STATE(TRI_STATE_CLASS(state),
					    was->large ? TRI_SPAN_LARGE : TRI_SPAN_IDLE, 0,
					    TRI_STATE_CYCLE(state)));
			page += pages ? pages : 1;
			continue;
		}
		/* A page inside a span that was made as we came along is no beginning. */
		pages = c->large ? tri_read(&span->pages) : c->pages;
		if (c->pages != 1 && tri_read(&v->span_of[page]) != page)
			pages = 1;
		page += pages ? pages : 1;
	}
}
