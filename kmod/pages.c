// SPDX-License-Identifier: GPL-2.0-only
/*
 * pages.c - which pages of an arena have contents
 *
 * The page cache tells: it has an entry for each page (or huge page) that is in memory, and one for
 * each that is swapped out.
 */
#include <linux/bitmap.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "internal.h"

/**
 * tricolor_present - count pages with contents among [@first, @first + @nr)
 * @bitmap: their bits are set in it, bit 0 for @first; NULL: not wanted
 *
 * Pages come and go meanwhile, but for those that the caller keeps from it.
 */
u64 tricolor_present(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr, unsigned long *bitmap)
{
	XA_STATE(xas, &tricolor_mapping(arena)->i_pages, first);
	pgoff_t end = first + nr;
	u64 present = 0;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, end - 1) {
		pgoff_t pages, from, to;

		if (xas_retry(&xas, entry))
			continue;
		pages = 1ul << xas_get_order(&xas);
		from = max(round_down(xas.xa_index, pages), first);
		to = min(round_down(xas.xa_index, pages) + pages, end);
		present += to - from;
		if (bitmap)
			bitmap_set(bitmap, from - first, to - from);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return present;
}
