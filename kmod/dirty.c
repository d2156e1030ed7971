// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty.c - which pages were written, from the processor's dirty bits
 *
 * For each stretch of a range:
 *  1. All folios that are there are marked dirty: the dirty bits of page tables are about to go,
 *     and a folio that nobody thinks dirty is dropped by reclaim and not swapped out.
 *  2. clean_record_shared_mapping_range() moves the dirty bits of all mappings into a bitmap.
 *  3. What step 2 can't have seen counts as written: pages that are swapped out, and pages that are
 *     mapped nowhere, which have lost their dirty bits to the folio.
 *  4. The folios of set bits are marked dirty once more, for those that appeared after 1.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "internal.h"
#include "trace.h"

#if IS_ENABLED(CONFIG_MAPPING_DIRTY_HELPERS)

#define STRETCH_PAGES 32768u		/* 4 KiB of bitmap */

/*
 * See to it that all folios of [@first, @first + @nr) are marked dirty.  @bitmap: NULL, or their
 * bits, in which pages are added that are swapped out or mapped nowhere.
 */
static void mark_folios(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr,
			unsigned long *bitmap)
{
	XA_STATE(xas, &tricolor_mapping(arena)->i_pages, first);
	pgoff_t end = first + nr;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		bool swapped = xa_is_value(folio), unseen = swapped;

		if (xas_retry(&xas, folio))
			continue;
		if (!swapped) {
			/* It may be on its way out; what comes instead is looked at then. */
			if (!folio_try_get(folio)) {
				xas_reset(&xas);
				continue;
			}
			if (xas_reload(&xas) != folio) {
				folio_put(folio);
				xas_reset(&xas);
				continue;
			}
			unseen = !folio_mapped(folio);
			if (!folio_test_dirty(folio))
				folio_mark_dirty(folio);
			folio_put(folio);
		}
		if (bitmap && unseen) {
			pgoff_t pages = 1ul << xas_get_order(&xas);
			pgoff_t begin = round_down(xas.xa_index, pages);
			pgoff_t from = max(begin, first), to = min(begin + pages, end);

			bitmap_set(bitmap, from - first, to - from);
		}
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
}

static void stretch(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr, unsigned long *bitmap)
{
	struct address_space *mapping = tricolor_mapping(arena);
	pgoff_t start = 0, end = 0;

	bitmap_zero(bitmap, STRETCH_PAGES);
	mark_folios(arena, first, nr, NULL);
	clean_record_shared_mapping_range(mapping, first, nr, first, bitmap, &start, &end);
	mark_folios(arena, first, nr, bitmap);
}

static int walk(struct tricolor_arena *arena, struct tricolor_dirty *args, bool collect)
{
	pgoff_t first = args->offset >> PAGE_SHIFT, pages = args->length >> PAGE_SHIFT, done, nr;
	u64 __user *user = u64_to_user_ptr(args->bitmap);
	unsigned long *bitmap;
	int err = 0;

	bitmap = bitmap_alloc(STRETCH_PAGES, GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	for (done = 0; done < pages && !err; done += nr) {
		nr = min_t(pgoff_t, pages - done, STRETCH_PAGES);
		stretch(arena, first + done, nr, bitmap);
		if (collect) {
			args->dirty_pages += bitmap_weight(bitmap, nr);
			if (copy_to_user(user + done / 64, bitmap,
					 DIV_ROUND_UP(nr, 64) * sizeof(u64)))
				err = -EFAULT;
		}
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	bitmap_free(bitmap);
	return err;
}

int tricolor_dirty(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	bool stop = args->flags & TRICOLOR_DIRTY_STOP, start = args->flags & TRICOLOR_DIRTY_START;
	int err = 0;

	args->dirty_pages = 0;
	if (args->flags & ~(TRICOLOR_DIRTY_START | TRICOLOR_DIRTY_STOP) || (stop && start))
		return -EINVAL;
	/* Cleaning does not look into page table entries for huge pages. */
	if (arena->create_flags & TRICOLOR_CREATE_HUGE)
		return -EOPNOTSUPP;
	if ((args->offset | args->length) & ~PAGE_MASK || args->offset > arena->bytes ||
	    args->length > arena->bytes - args->offset)
		return -EINVAL;
	if ((stop && (args->offset || args->length)) || (args->flags && args->bitmap))
		return -EINVAL;

	mutex_lock(&arena->dirty_lock);
	if (stop)
		WRITE_ONCE(arena->dirty_tracked, false);
	else if (!start && !arena->dirty_tracked)
		err = -ENODATA;
	else
		err = walk(arena, args, !start);
	if (start && !err)
		WRITE_ONCE(arena->dirty_tracked, true);
	mutex_unlock(&arena->dirty_lock);
	trace_tricolor_dirty(arena, args->flags, args->length, args->dirty_pages);
	return err;
}

#else

int tricolor_dirty(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	return -EOPNOTSUPP;
}

#endif
