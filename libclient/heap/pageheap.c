// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pageheap.c - runs of heap pages for spans
 *
 * Address-ordered first fit over the `used` bitmap of core/heap/pages.h:
 *
 *  1. A run of at most a chunk (512 pages) is looked for in one chunk after another, skipping those
 *     whose hint says that no run is that long.  A chunk that disappoints gets its true longest run
 *     as its hint, by a compare-and-swap that fails if pages were freed there since.
 *  2. If no chunk has one, or the run is longer, the whole bitmap is searched for a run that may
 *     cross chunks.
 *
 * First fit keeps the heap low and dense, so that the scavenger finds whole free pages at the top.
 * tri_g.page_lock is the client's own: the collector frees pages by clearing bits and never holds
 * it.
 */
#include "../../core/heap/layout.h"
#include "../../core/heap/pages.h"
#include "../../core/heap/span.h"
#include "../../core/system/point.h"
#include "../limits/uncollected.h"
#include "dumping.h"
#include "../base/lock.h"
#include "pageheap.h"
#include "../limits/pressure.h"
#include "../base/state.h"
#include "../limits/grant.h"
#include "../limits/untouched.h"

void tri_pageheap_init(void)
{
	tri_g.page_lock = (struct tri_lock){ 0 };
	/* Page 0 stands for "no span". */
	atomic_fetch_or(&tri_g.view.used[0], 1);
	tri_write(&tri_g.view.page_map[0], 0);
	/*
	 * The collector writes there before any thread does, and must not be the first to touch it.
	 */
	tri_write(&tri_g.view.grey[0], 0);
	tri_write(&tri_g.view.backed[0], 0);
	tri_write(&tri_g.view.ctl->top_pages, 1);
	tri_dump_begin();
}

/** A forked child, whose copy of the tables is in place. */
void tri_pageheap_reset(void)
{
	tri_g.page_lock = (struct tri_lock){ 0 };
	tri_untouched_copied();
}

/** Agent: leave empty chunks out of core dumps. */
void tri_pageheap_trim_dump(void)
{
	tri_lock(&tri_g.page_lock);
	tri_dump_trim();
	tri_unlock(&tri_g.page_lock);
}

/*
 * First run of @n free pages in [@from, @end) that begins at a multiple of @align; 0 if there is
 * none.  @longest: the longest run met, if not NULL.
 */
static uint64_t find_run(uint64_t from, uint64_t end, uint64_t n, uint64_t align, uint64_t *longest)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t run = 0, start = from, page = from, best = 0;

	while (page < end) {
		uint64_t word = tri_read(&v->used[page / 64]) >> (page & 63);
		uint64_t left = 64 - (page & 63), free;

		free = word ? (uint64_t)__builtin_ctzll(word) : left;
		if (free) {
			if (!run)
				start = page;
			run += free;
			page += free;
			if (run > best)
				best = run;
			if (run >= n) {
				uint64_t at = (start + align - 1) & ~(align - 1);

				if (at + n <= start + run && at + n <= end)
					return at;
			}
			if (free == left)
				continue;
			word >>= free;
		}
		run = 0;
		page += ~word ? (uint64_t)__builtin_ctzll(~word) : left - free;
	}
	if (longest)
		*longest = best;
	return 0;
}

static uint64_t find_in_chunks(uint64_t n, uint64_t align)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t search = tri_read(&v->ctl->search);
	uint64_t chunk, chunks = v->heap_pages / TRI_CHUNK_PAGES;
	bool all_full = true;

	for (chunk = (uint32_t)search; chunk < chunks; chunk++) {
		uint32_t hint = tri_read_acquire(&v->chunks[chunk]);
		uint64_t longest = TRI_CHUNK_PAGES - (hint & 0xffff), page;

		if (longest >= n) {
			page = find_run(chunk * TRI_CHUNK_PAGES, (chunk + 1) * TRI_CHUNK_PAGES, n,
					align, &longest);
			if (page)
				return page;
			TRI_POINT("pageheap.searched_chunk");
			/* An aligned run that is missing says nothing about longest. */
			if (longest < n)
				atomic_compare_exchange_strong(&v->chunks[chunk], &hint,
							       (hint & 0xffff0000u) |
								       (uint32_t)(TRI_CHUNK_PAGES -
										  longest));
		}
		if (longest)
			all_full = false;
		if (all_full) {
			uint64_t next = (search & ~0xffffffffull) | (chunk + 1);

			TRI_POINT("pageheap.all_full");
			/* Fails, and stays low, if pages were freed since we looked. */
			if (atomic_compare_exchange_strong(&v->ctl->search, &search, next))
				search = next;
			else
				all_full = false;
		}
	}
	return 0;
}

/* Of the pages, those that have no memory: it has to be had from the system. */
static uint64_t unbacked(uint64_t page, uint64_t pages)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t n = 0;

	while (pages) {
		uint64_t here = 64 - (page & 63) < pages ? 64 - (page & 63) : pages;
		uint64_t mask = tri_pages_mask(page, here);

		n += (uint64_t)__builtin_popcountll(mask & ~tri_read(&v->backed[page / 64]));
		page += here;
		pages -= here;
	}
	return n;
}

/* Take the pages, all or none: the scavenger may have claimed some since they were found. */
static bool set_used(uint64_t page, uint64_t pages)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t at = page, left = pages;

	while (left) {
		uint64_t here = 64 - (at & 63) < left ? 64 - (at & 63) : left;
		uint64_t mask = tri_pages_mask(at, here),
			 old = atomic_fetch_or(&v->used[at / 64], mask);

		if (old & mask) {
			atomic_fetch_and(&v->used[at / 64], ~(mask & ~old));
			for (; page < at; page += here) {
				here = 64 - (page & 63) < at - page ? 64 - (page & 63) : at - page;
				atomic_fetch_and(&v->used[page / 64], ~tri_pages_mask(page, here));
			}
			return false;
		}
		at += here;
		left -= here;
	}
	return true;
}

/* Find a run and take it; 0: there is none, or none that may be taken now. */
static uint64_t take_run(uint32_t pages, uint32_t align_pages)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t page, fresh;

	for (;;) {
		page = pages <= TRI_CHUNK_PAGES ? find_in_chunks(pages, align_pages) : 0;
		if (!page)
			page = find_run(1, v->heap_pages, pages, align_pages, NULL);
		if (!page)
			return 0;
		fresh = unbacked(page, pages);
		if (!tri_grant_may_take(fresh))
			return 0;
		TRI_POINT("pageheap.may_take");
		if (!set_used(page, pages))
			continue;
		if (unbacked(page, pages) <= fresh)
			return page;
		/*
		 * The scavenger has had some of them meanwhile: they cost more than was asked for.
		 */
		atomic_fetch_add(&v->ctl->used_pages, pages);
		tri_pages_release(v, page, pages);
	}
}

/*
 * The pages, taken, have memory from now on, or are promised it.  True: some of them had it before.
 */
static bool set_backed(uint64_t page, uint64_t pages)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t fresh = 0;
	bool backed = false;

	while (pages) {
		uint64_t here = 64 - (page & 63) < pages ? 64 - (page & 63) : pages;
		uint64_t mask = tri_pages_mask(page, here), none;

		none = mask & ~atomic_fetch_or(&v->backed[page / 64], mask);
		tri_untouched_add(page / 64, none);
		fresh += (uint64_t)__builtin_popcountll(none);
		backed |= none != mask;
		page += here;
		pages -= here;
	}
	tri_grant_took(fresh);
	return backed;
}

uint32_t tri_pageheap_take(uint32_t pages, uint32_t align_pages, bool *backed)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t page, top, i;
	int64_t used;

	if (tri_refusing() || tri_uncollected_is_full(pages))
		return 0;
	tri_lock(&tri_g.page_lock);
	page = take_run(pages, align_pages);
	if (!page) {
		tri_unlock(&tri_g.page_lock);
		return 0;
	}
	*backed = set_backed(page, pages);
	/*
	 * Where the collector will hint that they are free.  A search has looked at some of it
	 * only.
	 */
	for (i = page / TRI_CHUNK_PAGES; i <= (page + pages - 1) / TRI_CHUNK_PAGES; i++)
		(void)tri_read(&v->chunks[i]);
	tri_dump_pages(page, pages);
	for (i = 0; i < pages; i++)
		tri_write(&v->page_map[page + i], TRI_SPAN_CLASS_TAKEN);
	top = tri_read(&v->ctl->top_pages);
	if (page + pages > top)
		tri_write_release(&v->ctl->top_pages, page + pages);
	used = atomic_fetch_add(&v->ctl->used_pages, pages) + pages;
	if (used > (int64_t)tri_read(&v->ctl->peak_pages))
		tri_write(&v->ctl->peak_pages, (uint64_t)used);
	tri_unlock(&tri_g.page_lock);
	return (uint32_t)page;
}

/*
 * Clearing bits needs no lock.  But in between the pages look like those that a dead collector has
 * begun to free, which the agent frees as well, and perhaps others take before our bits are
 * cleared.
 */
void tri_pageheap_give(uint32_t page, uint32_t pages)
{
	tri_lock(&tri_g.page_lock);
	tri_span_free(&tri_g.view, page, pages);
	tri_unlock(&tri_g.page_lock);
}

/*
 * The collector died.  Pages that it was scavenging, or had begun to free, are used and nobody has
 * a span there; with the lock held no client thread is between taking pages and writing their span
 * classes.  What it did not get to count or to give a hint of is counted and hinted anew.
 */
void tri_pageheap_recover(void)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t page, top, used = 0;

	tri_lock(&tri_g.page_lock);
	top = tri_read(&v->ctl->top_pages);
	for (page = 1; page < top; page++) {
		if (!(tri_read(&v->used[page / 64]) >> (page & 63) & 1))
			continue;
		if (tri_read(&v->page_map[page]))
			used++;
		else
			atomic_fetch_and(&v->used[page / 64], ~tri_pages_mask(page, 1));
	}
	for (page = 0; page < top; page += TRI_CHUNK_PAGES)
		tri_pages_hint(v, page);
	tri_write(&v->ctl->used_pages, (int64_t)used);
	tri_unlock(&tri_g.page_lock);
}
