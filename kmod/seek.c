// SPDX-License-Identifier: GPL-2.0-only
/*
 * seek.c - SEEK_DATA and SEEK_HOLE, which tell which pages of an arena have contents
 *
 * The page cache has an entry for each page (or huge page) that is in memory, and one for each that
 * is swapped out.
 */
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "internal.h"

/* The first page from @first on that has no contents, or @end. */
static pgoff_t first_hole(struct tricolor_arena *arena, pgoff_t first, pgoff_t end)
{
	XA_STATE(xas, &tricolor_mapping(arena)->i_pages, first);
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, end - 1) {
		pgoff_t pages, begin;

		if (xas_retry(&xas, entry))
			continue;
		pages = 1ul << xas_get_order(&xas);
		begin = round_down(xas.xa_index, pages);
		if (begin > first)
			break;
		first = begin + pages;
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return min(first, end);
}

/**
 * tricolor_seek - SEEK_DATA and SEEK_HOLE
 *
 * shmem's own function takes the inode's lock.  The owner may hold that for as long as fallocate()
 * takes to fill an arena, with reclaim and throttling.  A collector would wait for it, and could
 * not be killed.
 */
loff_t tricolor_seek(struct tricolor_arena *arena, loff_t offset, int whence)
{
	struct address_space *mapping = tricolor_mapping(arena);
	loff_t size = i_size_read(mapping->host), found;
	unsigned long index = offset >> PAGE_SHIFT;

	if (offset < 0 || offset >= size)
		return -ENXIO;
	if (whence == SEEK_HOLE)
		index = first_hole(arena, index, size >> PAGE_SHIFT);
	else if (!xa_find(&mapping->i_pages, &index, (size >> PAGE_SHIFT) - 1, XA_PRESENT))
		return -ENXIO;
	found = (loff_t)index << PAGE_SHIFT;
	return max(offset, found);
}
