// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * central.c - lists of the spans of each class and kind, from which thread caches refill
 *
 * A list has every span of one span class, and a cursor that goes around it once a cycle.  The
 * cursor begins at the first span that had a free slot in the last cycle, so that objects gather
 * in the same spans and other spans are freed whole.  If none had one, it begins where it stood.
 * A refill takes spans from the list one by one, and sweeps those that the collector has not swept
 * yet (lazy sweeping), until one has a free slot.  Each span is passed once a cycle, so refills
 * cost no more than the sweep that they do.  Spans that come back half-used, as when a thread has
 * ended, are kept beside the list, in `partial`.
 *
 * A refill goes past PASS_MAX full spans and no further.  So if each cycle began at the front, a
 * class of which little is allocated in a cycle would never get past the full spans there, and
 * would take fresh pages in each cycle.  Where there are no fresh pages a refill goes past any
 * number.
 *
 * The collector frees whole spans without telling the library.  So an entry is good only if the
 * span's `list_entry` names it.  Stale entries are dropped when the cursor meets them.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "central.h"
#include "../base/lock.h"
#include "pageheap.h"
#include "../base/state.h"
#include "touch.h"

/* A refill that has passed this many full spans takes fresh pages instead. */
#define PASS_MAX 64
#define NONE UINT32_MAX

/* @lock protects all fields.  is_done() and tri_central_take() read some without it. */
struct list {
	struct tri_lock lock;
	uint32_t *span;
	uint32_t n, room;
	uint32_t start, cursor;			/* the cursor goes from @start to @n, and then from
						 * 0 to @start */
	bool around;				/* it is on the second of these ways */
	uint32_t first;				/* the first span that had a free slot in this
						 * cycle; NONE: none yet */
	uint32_t *partial;
	uint32_t npartial, partial_room;
};

static struct list lists[TRI_SPAN_CLASS_LARGE];

/** Empty all lists.  Called when the heap starts. */
void tri_central_init(void)
{
	unsigned int i;

	for (i = 0; i < TRI_SPAN_CLASS_LARGE; i++) {
		struct list *l = &lists[i];

		/* A forked child has its parent's lists, and gives up their memory. */
		munmap(l->span, l->room * sizeof(uint32_t));
		munmap(l->partial, l->partial_room * sizeof(uint32_t));
		*l = (struct list){ .first = NONE };
	}
}

/* Unlock the first @n lists. */
static void release(unsigned int n)
{
	while (n--)
		tri_unlock(&lists[n].lock);
}

/** Lock all lists, for fork().  False: this took longer than until @ns, and none is locked. */
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

/* By mmap() and not malloc(), since the program's malloc() may be what called us. */
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

/**
 * Put @spans spans that lie one behind the other into their list.  If there is no memory for the
 * list, no refill finds them, and their free slots wait for the collector.
 */
void tri_central_add(uint32_t page, unsigned int spans, unsigned int span_class)
{
	struct list *l = &lists[span_class];

	tri_lock(&l->lock);
	for (; spans && (l->n < l->room || grow(&l->span, &l->room)); spans--) {
		tri_write(&tri_g.view.spans[page].list_entry, list_entry(span_class, l->n));
		l->span[l->n] = page;
		/* The cursor need not meet a fresh span in this cycle: its caller owns it. */
		if (!l->around && l->cursor == l->n)
			l->cursor++;
		l->n++;
		page += tri_classes[span_class].pages;
	}
	tri_unlock(&l->lock);
}

/*
 * Make the pages at @page, which were just taken, a span of @span_class.  Its state is CACHED, so
 * that nobody else claims it.
 */
static void make_span(uint32_t gen, unsigned int span_class, uint32_t page, bool needs_zero)
{
	const struct tri_view *v = &tri_g.view;
	const struct tri_class *c = &tri_classes[span_class];
	unsigned int w, words = (c->objects + 63u) / 64, i;

	/* The span classes are written last: only then does a pointer lead here. */
	for (w = 0; w < words; w++) {
		tri_write(&v->marks[0][page][w], 0);
		tri_write(&v->marks[1][page][w], 0);
		tri_write(&v->scanned[page][w], 0);
	}
	tri_write(&v->queued[page], 0);
	/* The marker may read the map of a slot that has no type yet, and must not find a hole. */
	for (i = 0; i < c->pages && c->kind == TRI__TYPED; i++)
		(void)tri_read(&v->ptrmap[page + i][0]);
	/* The collector will write into free slots, which must have memory by then. */
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
 * Make *@run spans of @span_class from fresh pages, one behind the other; or one, if there are no
 * pages for so many, and then *@run is 1.  They are in the list, and the caller owns them.  Returns
 * the page of the first; 0: the heap is full.
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

/** Give back a span with free slots, from which others may allocate in this cycle. */
void tri_central_put(uint32_t page, unsigned int span_class)
{
	struct list *l = &lists[span_class];

	tri_lock(&l->lock);
	if (l->npartial < l->partial_room || grow(&l->partial, &l->partial_room))
		l->partial[l->npartial++] = page;
	tri_unlock(&l->lock);
}

/*
 * Drop entry @i, which is stale.  The last entry takes its place.  Its span learns that, unless the
 * last entry is stale itself.
 */
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
 * Whether the cursor points to a span that it has not passed in this cycle.  At the end of the list
 * it goes on at the front.
 */
static bool has_next(struct list *l)
{
	if (!l->around && l->cursor >= l->n) {
		l->cursor = 0;
		l->around = true;
	}
	return l->cursor < l->n && (!l->around || l->cursor < l->start);
}

/*
 * Whether the list has nothing more in this cycle.  Called without the lock.  What another thread
 * adds at this moment is missed, and the caller takes fresh pages, which do as well.
 */
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
 * The next span that may have free slots, or 0.  *@index is where the cursor found it, or NONE if
 * it was in `partial`.
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

/* Claim the span at @page, and sweep it if that is due.  False: somebody has it, or it is full. */
static bool claim(uint32_t page, unsigned int span_class, uint32_t gen)
{
	const struct tri_view *v = &tri_g.view;
	const struct tri_class *c = &tri_classes[span_class];
	struct tri_span *span = &v->spans[page];
	uint64_t state = tri_read_acquire(&span->state), next;
	unsigned int nfree;

	if (TRI_STATE_CLASS(state) != span_class || TRI_STATE_OWNER(state) != TRI_SPAN_IDLE)
		return false;
	/* It was made by a thread that has changed over to a cycle that this one has not. */
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
 * Take a span of @span_class that has a free slot.  Its state is CACHED, and the caller owns it.
 * Returns its page; 0: fresh pages are to be taken.  @all: there are no fresh pages, so all spans
 * are tried that the cursor has not passed in this cycle.
 */
uint32_t tri_central_take(uint32_t gen, unsigned int span_class, bool all)
{
	struct list *l = &lists[span_class];
	int i;

	/* While threads change over to a new cycle, nobody may take spans of the one before. */
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

/** Begin a new round through each list.  Called by the agent when all threads have changed over. */
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

/** Make spans unswept again that a collector was sweeping when it died.  Sweeping is repeatable. */
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
			/* It may have begun to free the span, and to clear the span classes. */
			for (i = 0; i < pages; i++)
				tri_write(&v->page_map[page + i], (uint8_t)TRI_STATE_CLASS(state));
			tri_write(&span->state,
				  TRI_STATE(TRI_STATE_CLASS(state),
					    was->large ? TRI_SPAN_LARGE : TRI_SPAN_IDLE, 0,
					    TRI_STATE_CYCLE(state)));
			page += pages ? pages : 1;
			continue;
		}
		/* A span that was made meanwhile may begin before this page. */
		pages = c->large ? tri_read(&span->pages) : c->pages;
		if (c->pages != 1 && tri_read(&v->span_of[page]) != page)
			pages = 1;
		page += pages ? pages : 1;
	}
}
