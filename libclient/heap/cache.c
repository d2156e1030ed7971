// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cache.c - a thread's cached spans: refill, blacken, flush
 *
 * A thread allocates from one span of each span class at a time.  It may own a few fresh spans that
 * lie behind that one, so that a thread that allocates fast does not go to the page heap for each.
 * It hands out the span's free slots 64 at a time: a *window*.
 *
 * Opening a window sets all of its allocation bits, so that a slot counts as allocated from then
 * on, whether the thread has come to it or not.  While the thread allocates black, opening also
 * sets the mark and scanned bits of the free slots, which makes a batch of black objects for the
 * price of two atomic instructions.  Closing a window half-way takes both back.
 *
 * All but tri_count_allocated() runs with the thread's cache lock held: by the thread, in a refill
 * or as it ends; by the agent, which has diverted the inline path and fenced first; or by whoever
 * removes the record of a thread that has ended.
 */
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../agent/agent.h"
#include "cache.h"
#include "central.h"
#include "freed.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "touch.h"
#include "tricolor.h"

#define RUN_PAGES 16			/* the most that is taken from the page heap at once */

static unsigned int windows(unsigned int span_class)
{
	return (tri_classes[span_class].objects + 63u) / 64;
}

/*
 * Count @bytes as allocated.  Whoever takes the counter past the trigger tells the collector.  If
 * the trigger is published when it has been passed already, the publisher notices: a full barrier
 * is between the addition and the load here, as between its store and its load, so one of the two
 * sees the other.  Pairs with publish_trigger() in daemon/heap/pacing.c.  The cache lock is not
 * needed.
 */
void tri_count_allocated(struct tri_thread *t, uint64_t bytes)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t total = atomic_fetch_add(&ctl->allocated_bytes, bytes) + bytes;
	uint64_t trigger = tri_read(&ctl->trigger_bytes);

	t->debt_bytes += bytes;
	if (total > trigger && total - bytes <= trigger)
		tri_agent_wake(TRI_WAKE_TRIGGER);
}

/*
 * A window with @nfree free slots is open: what counts as allocated already, and what is new.  This
 * is called only if something had been freed when the span was taken.
 */
static void count_opened(struct tri_thread *t, unsigned int span_class, unsigned int nfree)
{
	struct tri_cached_span *s = &t->spans[span_class];

	if (likely(nfree <= s->counted)) {
		s->counted = (uint16_t)(s->counted - nfree);
		return;
	}
	/* Freed since the span was taken. */
	tri_count_allocated(t, (uint64_t)(nfree - s->counted) * tri_classes[span_class].size);
	s->counted = 0;
}

/* Slots of the cached span, from window @w on, that are free by its bits. */
static unsigned int count_free_slots(struct tri_thread *t, unsigned int span_class, unsigned int w)
{
	tri_au64 *allocated = tri_g.view.marks[t->gen & 1][t->spans[span_class].page];
	unsigned int objects = tri_classes[span_class].objects, n = 0;

	for (; w < windows(span_class); w++)
		n += (unsigned int)__builtin_popcountll(~tri_read(&allocated[w]) &
							tri_objects_mask(objects, w));
	return n;
}

/* Slots of the cached span that count as allocated, and lie in windows that are not open yet. */
static unsigned int count_unopened(struct tri_thread *t, unsigned int span_class)
{
	struct tri_cached_span *s = &t->spans[span_class];

	return s->counting ? s->counted : count_free_slots(t, span_class, s->window + 1u);
}

/* Open window @w of the cached span.  False: it has no free slot. */
static bool open_window(struct tri_thread *t, unsigned int span_class, uint32_t w)
{
	const struct tri_view *v = &tri_g.view;
	const struct tri_class *c = &tri_classes[span_class];
	struct tri__cache *cache = &t->caches[span_class];
	uint32_t page = t->spans[span_class].page;
	tri_au64 *allocated = &v->marks[t->gen & 1][page][w];
	/* Acquire: pairs with free_small() in freed.c. */
	uint64_t free = ~tri_read_acquire(allocated) & tri_objects_mask(c->objects, w);
	bool fresh = !tri_read(&v->spans[page].needs_zero);

	/* Until it has another one: nothing is freed into the window that is over. */
	cache->base = NULL;
	t->spans[span_class].window = (uint8_t)w;
	if (!free)
		return false;
	if (c->kind != TRI__LEAF)
		tri_touch(c,
			  v->heap + ((uint64_t)page << TRI_PAGE_SHIFT) + (size_t)w * 64 * c->size,
			  c->objects - w * 64 < 64 ? c->objects - w * 64 : 64, fresh);
	/*
	 * Slots are zeroed here if somebody may read them before the thread has zeroed them: the
	 * second marking, which stops the thread and finds black slots, or the checker, which finds
	 * allocated ones.
	 */
	if ((tri_g.settings.checkmark || tri_g.settings.barriers) && !fresh) {
		char *base =
			v->heap + ((uint64_t)page << TRI_PAGE_SHIFT) + (size_t)w * 64 * c->size;
		uint64_t todo;

		for (todo = free; todo; todo &= todo - 1)
			memset(base + (size_t)__builtin_ctzll(todo) * c->size, 0, c->size);
	}
	/* Release: pairs with look_at_span() in checker.c. */
	tri_write_release(allocated, ~0ull);
	if (t->black) {
		atomic_fetch_or(&v->scanned[page][w], free);
		atomic_fetch_or(&v->marks[~t->gen & 1][page][w], free);
	}
	cache->base = v->heap + ((uint64_t)page << TRI_PAGE_SHIFT) + (size_t)w * 64 * c->size;
	cache->bytes = (uint32_t)(c->objects - w * 64 < 64 ? c->objects - w * 64 : 64) * c->size;
	cache->zeroed = fresh;
	cache->free = free;
	if (unlikely(t->spans[span_class].counting))
		count_opened(t, span_class, (unsigned int)__builtin_popcountll(free));
	return true;
}

static void set_cached(struct tri_thread *t, unsigned int span_class, uint32_t page,
		       unsigned int nfree)
{
	t->spans[span_class].page = page;
	t->spans[span_class].counted = (uint16_t)nfree;
	t->spans[span_class].counting = tri_freed_any();
	t->active[span_class / 64] |= 1ull << (span_class & 63);
	tri_count_allocated(t, (uint64_t)nfree * tri_classes[span_class].size);
}

/*
 * Take a span of @span_class with fresh pages, which the caller owns.  Returns its page; 0: the
 * heap is full.  Each time in a cycle a thread takes twice as many spans at once, up to RUN_PAGES.
 */
static uint32_t fresh_span(struct tri_thread *t, unsigned int span_class)
{
	struct tri_cached_span *s = &t->spans[span_class];
	uint32_t pages = tri_classes[span_class].pages, page = s->next;
	unsigned int run = s->run * 2u;

	if (s->left) {
		s->left--;
		s->next += pages;
		return page;
	}
	if (run * pages > RUN_PAGES)
		run = s->run;
	if (!run)
		run = 1;
	page = tri_central_grow(t->gen, span_class, &run);
	if (!page)
		return 0;
	t->active[span_class / 64] |= 1ull << (span_class & 63);
	s->run = (uint16_t)run;
	s->left = (uint16_t)(run - 1);
	s->next = page + pages;
	return page;
}

/*
 * Give up the cached span, which is used up.  It belongs to nobody until the next cycle, or until
 * enough of its objects have been freed.  Those that were freed while it was cached are counted
 * here, but for those of the first call of tri_free(): see tri_freed_any().
 */
static void retire(struct tri_thread *t, unsigned int span_class)
{
	struct tri_cached_span *s = &t->spans[span_class];
	unsigned int nfree = 0;

	if (unlikely(tri_freed_any()))
		nfree = count_free_slots(t, span_class, 0);
	if (unlikely(s->counting && s->counted))
		atomic_fetch_sub(&tri_g.view.ctl->allocated_bytes,
				 (uint64_t)s->counted * tri_classes[span_class].size);
	t->caches[span_class].base = NULL;
	tri_write_release(&tri_g.view.spans[s->page].state,
			  TRI_STATE(span_class, TRI_SPAN_IDLE, nfree, t->gen));
	if (nfree && nfree >= tri_central_least(&tri_classes[span_class]))
		tri_central_put(s->page, span_class);
	s->page = 0;
	/* The next flush resets the run. */
	if (!s->run)
		t->active[span_class / 64] &= ~(1ull << (span_class & 63));
}

/*
 * Whether the fresh spans behind the cached one come next.  Spans that were offered come before
 * them if the program frees: their slots are in the CPU's caches, and a program that frees as much
 * as it allocates never comes to the end of its fresh spans otherwise.
 */
static bool takes_fresh(const struct tri_cached_span *s)
{
	return s->left && !tri_freed_any();
}

/* Open a window with free slots.  @fresh: fresh pages may be taken.  False: there is none. */
static bool refill(struct tri_thread *t, unsigned int span_class, bool fresh)
{
	struct tri_cached_span *s = &t->spans[span_class];
	unsigned int w;
	uint32_t page;

	for (;;) {
		if (s->page) {
			for (w = s->window + 1; w < windows(span_class); w++)
				if (open_window(t, span_class, w))
					return true;
			retire(t, span_class);
		}
		page = takes_fresh(s) ? 0 : tri_central_take(t->gen, span_class, false);
		if (!page && (fresh || s->left))
			page = fresh_span(t, span_class);
		if (!page && fresh)
			page = tri_central_take(t->gen, span_class, true);
		if (!page)
			return false;
		/* It may have been refused fresh pages on the way, and does without. */
		t->short_bytes = 0;
		set_cached(t, span_class, page,
			   TRI_STATE_NFREE(tri_read(&tri_g.view.spans[page].state)));
		if (open_window(t, span_class, 0))
			return true;
	}
}

/* Take a slot of the window, which has one. */
static inline void *take(struct tri__cache *cache, unsigned int span_class, bool *zeroed)
{
	uint32_t i = (uint32_t)__builtin_ctzll(cache->free);

	cache->free &= cache->free - 1;
	*zeroed = cache->zeroed;
	return cache->base + (size_t)i * tri_classes[span_class].size;
}

/* A function of its own, so that tri_cache_alloc() uses no registers that it would have to save. */
static __attribute__((noinline)) void *refill_and_take(struct tri_thread *t,
							unsigned int span_class, bool *zeroed)
{
	return refill(t, span_class, true) ? take(&t->caches[span_class], span_class, zeroed) :
					     NULL;
}

/** Take a slot of @span_class; NULL: the heap is full.  *@zeroed: whether it holds zeros. */
void *tri_cache_alloc(struct tri_thread *t, unsigned int span_class, bool *zeroed)
{
	struct tri__cache *cache = &t->caches[span_class];

	if (unlikely(!cache->free))
		return refill_and_take(t, span_class, zeroed);
	return take(cache, span_class, zeroed);
}

/** The slot that tri_cache_alloc() will hand out next, or NULL if it will take fresh pages. */
void *tri_cache_next(struct tri_thread *t, unsigned int span_class)
{
	struct tri__cache *cache = &t->caches[span_class];

	if (!cache->free && !refill(t, span_class, false))
		return NULL;
	return cache->base + (size_t)__builtin_ctzll(cache->free) * tri_classes[span_class].size;
}

/**
 * From now on this thread allocates black, also from windows that are open.  Returns the bytes that
 * count as allocated and are not yet: they are those of black objects to come.
 */
uint64_t tri_cache_blacken(struct tri_thread *t)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t unused_bytes = 0;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		uint64_t todo = t->active[i];

		for (; todo; todo &= todo - 1) {
			unsigned int span_class = i * 64 + (unsigned int)__builtin_ctzll(todo);
			struct tri_cached_span *s = &t->spans[span_class];
			uint64_t free = t->caches[span_class].free;

			if (!s->page)
				continue;
			unused_bytes += (uint64_t)(count_unopened(t, span_class) +
						   (unsigned int)__builtin_popcountll(free)) *
					tri_classes[span_class].size;
			if (!free)
				continue;
			atomic_fetch_or(&v->scanned[s->page][s->window], free);
			atomic_fetch_or(&v->marks[~t->gen & 1][s->page][s->window], free);
		}
	}
	t->black = 1;
	t->tiny = NULL;
	return unused_bytes;
}

/* Give back the fresh spans that the thread has not come to. */
static void flush_run(struct tri_thread *t, unsigned int span_class, bool to_central)
{
	const struct tri_class *c = &tri_classes[span_class];
	struct tri_cached_span *s = &t->spans[span_class];

	for (; s->left; s->left--, s->next += c->pages) {
		tri_write_release(&tri_g.view.spans[s->next].state,
				  TRI_STATE(span_class, TRI_SPAN_IDLE, c->objects, t->gen));
		if (to_central)
			tri_central_put(s->next, span_class);
	}
	s->run = 0;
}

/** Give all cached spans back.  @to_central: other threads may use them in this cycle. */
void tri_cache_flush(struct tri_thread *t, bool to_central)
{
	const struct tri_view *v = &tri_g.view;
	int64_t unused_bytes = 0;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		for (; t->active[i]; t->active[i] &= t->active[i] - 1) {
			unsigned int span_class =
				i * 64 + (unsigned int)__builtin_ctzll(t->active[i]);
			const struct tri_class *c = &tri_classes[span_class];
			struct tri_cached_span *s = &t->spans[span_class];
			struct tri__cache *cache = &t->caches[span_class];
			uint64_t free = cache->free;
			tri_au64 *allocated = v->marks[t->gen & 1][s->page];
			unsigned int nfree;

			if (!s->page) {
				flush_run(t, span_class, to_central);
				continue;
			}
			cache->free = 0;
			cache->base = NULL;
			cache->zeroed = 0;
			if (free) {
				atomic_fetch_and(&allocated[s->window], ~free);
				if (t->black) {
					atomic_fetch_and(&v->marks[~t->gen & 1][s->page][s->window],
							 ~free);
					atomic_fetch_and(&v->scanned[s->page][s->window], ~free);
				}
			}
			nfree = count_free_slots(t, span_class, 0);
			unused_bytes += (int64_t)(count_unopened(t, span_class) +
						  (unsigned int)__builtin_popcountll(free)) *
					c->size;
			/*
			 * Slots of the first window have been used, so the span does not count as
			 * zeroed any more.
			 */
			tri_write(&v->spans[s->page].needs_zero, 1);
			tri_write_release(&v->spans[s->page].state,
					  TRI_STATE(span_class, TRI_SPAN_IDLE, nfree, t->gen));
			if (to_central && nfree)
				tri_central_put(s->page, span_class);
			s->page = 0;
			flush_run(t, span_class, to_central);
		}
	}
	t->tiny = NULL;
	if (unused_bytes)
		atomic_fetch_sub(&v->ctl->allocated_bytes, (uint64_t)unused_bytes);
}
