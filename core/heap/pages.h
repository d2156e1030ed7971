/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages.h - pages of the heap that both sides give back
 *
 * Two bitmaps: `used` (the client takes pages under its own mutex, either side frees them) and
 * `backed` (pages that have memory: set by the client when it takes them, cleared by the scavenger
 * when it has punched the hole).  Free neighbours need no merging: they are neighbouring bits.
 *
 * Hints, each with a tag that every release increments, so that a searcher who found nothing can
 * say so without hiding a release that came after it looked:
 *	chunks[]	tag << 16 | 512 - (longest free run in 512 pages may be as long as this)
 *	ctl->search	tag << 32 | every chunk below is full
 * A zero is "all free", which is what a new arena holds.
 *
 * The scavenger claims pages by setting their `used` bits word by word.  If it dies before it has
 * cleared them, or the sweeper in tri_span_free(), there are used pages without a span class: the
 * agent frees them (tri_pageheap_recover()).
 */
#ifndef TRI_CORE_PAGES_H
#define TRI_CORE_PAGES_H

#include "layout.h"

/*
 * The number of tries at a compare-and-swap, since a hostile client could make it fail for ever.
 * Honest contention needs fewer.  After that the hint is given up, at the cost of the client alone.
 */
#define TRI_CAS_TRIES 1000

static inline void tri_pages_hint(const struct tri_view *v, uint64_t page)
{
	uint64_t chunk = page / TRI_CHUNK_PAGES;
	uint32_t h = tri_read(&v->chunks[chunk]);
	uint64_t s = tri_read(&v->ctl->search);
	int i;

	for (i = 0; i < TRI_CAS_TRIES; i++)
		if (atomic_compare_exchange_weak(&v->chunks[chunk], &h, ((h >> 16) + 1) << 16))
			break;
	for (i = 0; i < TRI_CAS_TRIES; i++) {
		uint64_t low = (uint32_t)s < chunk ? (uint32_t)s : chunk;

		if (atomic_compare_exchange_weak(&v->ctl->search, &s, ((s >> 32) + 1) << 32 | low))
			break;
	}
}

/* At most @n bits of the word that @page is in, from bit page & 63 up. */
static inline uint64_t tri_pages_mask(uint64_t page, uint64_t n)
{
	uint64_t bits = n >= 64 ? ~0ull : (1ull << n) - 1;

	return bits << (page & 63);
}

/** Mark @n pages from @page free.  They must be used by the caller and inside the heap. */
static inline void tri_pages_release(const struct tri_view *v, uint64_t page, uint64_t n)
{
	atomic_fetch_sub_explicit(&v->ctl->used_pages, (int64_t)n, memory_order_relaxed);
	while (n) {
		uint64_t here = 64 - (page & 63);

		if (here > n)
			here = n;
		atomic_fetch_and(&v->used[page / 64], ~tri_pages_mask(page, here));
		tri_pages_hint(v, page);
		page += here;
		n -= here;
	}
}

#endif
