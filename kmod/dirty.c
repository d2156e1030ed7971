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
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

#if IS_ENABLED(CONFIG_MAPPING_DIRTY_HELPERS)

#define STRETCH_PAGES 32768u		/* 4 KiB of bitmap */

/* @bitmap: NULL, or the bits of [@first, @first + @nr), in which unmapped folios are added. */
static void mark_folios(struct address_space *mapping, pgoff_t first, pgoff_t nr,
			unsigned long *bitmap)
{
	pgoff_t next = first, last = first + nr - 1;
	struct folio_batch batch;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &next, last, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			pgoff_t from = max(folio->index, first);
			pgoff_t end = min(folio_next_index(folio), last + 1);

			if (bitmap && !folio_mapped(folio) && from < end)
				bitmap_set(bitmap, from - first, end - from);
			folio_mark_dirty(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

static void stretch(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr, unsigned long *bitmap)
{
	struct address_space *mapping = tricolor_mapping(arena);
	pgoff_t start = 0, end = 0;

	bitmap_zero(bitmap, STRETCH_PAGES);
	mark_folios(mapping, first, nr, NULL);
	clean_record_shared_mapping_range(mapping, first, nr, first, bitmap, &start, &end);
	mark_folios(mapping, first, nr, bitmap);
	tricolor_present(arena, first, nr, bitmap, true);
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
