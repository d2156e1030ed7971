// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty.c - which pages were written, from the processor's dirty bits
 *
 * For each stretch of a range:
 *  1. All folios that are there are marked dirty: the dirty bits of page tables are about to go,
 *     and a folio that nobody thinks dirty is dropped by reclaim and not swapped out.  Those that
 *     come later are marked by the fault that maps them, before anything can be written to them.
 *  2. clean_record_shared_mapping_range() moves the dirty bits of all mappings into a bitmap.
 *  3. What step 2 can't have seen counts as written: pages that are swapped out, pages that are
 *     mapped nowhere, which have lost their dirty bits to the folio, and pages that were one of
 *     these and have been mapped since.  The fault that does so tells (tricolor_dirty_fault()).
 *
 * So no page is missed that was swapped out and came back: it was unmapped meanwhile, and nobody maps
 * it but by a fault that tells, before it is mapped.
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
 * In the page cache, of a page that counts as written.  File systems mark so what they are about to
 * write back, which nobody does with the pages of shmem.
 */
#define MARK_MAPPED PAGECACHE_TAG_TOWRITE

/**
 * tricolor_dirty_fault - a fault is about to map a page of a folio, which is locked
 *
 * From here on it is dirty, whatever becomes of the dirty bits of those that map it: collecting
 * takes them away from pages that it has not seen before too.
 *
 * Locked it can't be swapped out, so that what is mapped nowhere now is mapped here first.  A large
 * one may be mapped in part.
 */
void tricolor_dirty_fault(struct tricolor_arena *arena, const struct vm_fault *vmf)
{
	struct xarray *pages = &tricolor_mapping(arena)->i_pages;
	struct folio *folio = page_folio(vmf->page);

	/* The folio is in the page cache; pairs with the barrier in begin(). */
	smp_mb();
	if (!READ_ONCE(arena->dirty_tracked))
		return;
	if (!folio_test_dirty(folio))
		folio_mark_dirty(folio);
	if (folio_mapped(folio) && !folio_test_large(folio))
		return;
	xa_lock_irq(pages);
	__xa_set_mark(pages, vmf->pgoff, MARK_MAPPED);
	xa_unlock_irq(pages);
}

/* The pages of an entry of the page cache, as far as they are in [@first, @end). */
static void set_bits(struct xa_state *xas, unsigned long *bitmap, pgoff_t first, pgoff_t end)
{
	pgoff_t pages = 1ul << xas_get_order(xas), begin = round_down(xas->xa_index, pages);
	pgoff_t from = max(begin, first), to = min(begin + pages, end);

	bitmap_set(bitmap, from - first, to - from);
}

/* Between two entries of a walk, with the lock held. */
static void give_way(struct xa_state *xas)
{
	if (!need_resched())
		return;
	xas_pause(xas);
	xas_unlock_irq(xas);
	cond_resched();
	xas_lock_irq(xas);
}

/* Add to @bitmap what faults have marked, and take the marks off. */
static void take_marks(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr,
		       unsigned long *bitmap)
{
	XA_STATE(xas, &tricolor_mapping(arena)->i_pages, first);
	pgoff_t end = first + nr;
	void *entry;

	xas_lock_irq(&xas);
	xas_for_each_marked(&xas, entry, end - 1, MARK_MAPPED) {
		set_bits(&xas, bitmap, first, end);
		xas_clear_mark(&xas, MARK_MAPPED);
		give_way(&xas);
	}
	xas_unlock_irq(&xas);
}

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
		if (bitmap && unseen)
			set_bits(&xas, bitmap, first, end);
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
	take_marks(arena, first, nr, bitmap);
	clean_record_shared_mapping_range(mapping, first, nr, first, bitmap, &start, &end);
	mark_folios(arena, first, nr, bitmap);
}

/* What was collected could not be delivered: the pages count as written the next time, too. */
static void put_back(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr,
		     const unsigned long *bitmap)
{
	XA_STATE(xas, &tricolor_mapping(arena)->i_pages, first);
	void *entry;

	xas_lock_irq(&xas);
	xas_for_each(&xas, entry, first + nr - 1) {
		if (test_bit(xas.xa_index - first, bitmap))
			xas_set_mark(&xas, MARK_MAPPED);
		give_way(&xas);
	}
	xas_unlock_irq(&xas);
}

/*
 * With dirty_lock, but for while it copies.  Of a collection that fails what was delivered is said, by
 * @args->length, and what was not is collected again.
 */
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
			/* The owner's memory may keep us here for ever, and must not keep others. */
			mutex_unlock(&arena->dirty_lock);
			if (copy_to_user(user + done / 64, bitmap,
					 DIV_ROUND_UP(nr, 64) * sizeof(u64)))
				err = -EFAULT;
			mutex_lock(&arena->dirty_lock);
			if (err) {
				args->dirty_pages -= bitmap_weight(bitmap, nr);
				put_back(arena, first + done, nr, bitmap);
				nr = 0;
			} else if (!arena->dirty_tracked) {
				err = -ENODATA;
			}
		}
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	bitmap_free(bitmap);
	if (collect)
		args->length = (u64)done << PAGE_SHIFT;
	return err;
}

static int begin(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	int err;

	WRITE_ONCE(arena->dirty_tracked, true);
	/*
	 * From here on nothing is mapped but by faults that know it, or whose folios are there to be
	 * seen by the walk.  That is a barrier too.
	 */
	synchronize_rcu();
	err = walk(arena, args, false);
	if (err)
		WRITE_ONCE(arena->dirty_tracked, false);
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
		args->length = 0, err = -ENODATA;
	else if (start && !arena->dirty_tracked)
		err = begin(arena, args);
	else
		err = walk(arena, args, !start);
	mutex_unlock(&arena->dirty_lock);
	trace_tricolor_dirty(arena, args->flags, args->length, args->dirty_pages);
	return err;
}

#else

int tricolor_dirty(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	return -EOPNOTSUPP;
}

void tricolor_dirty_fault(struct tricolor_arena *arena, const struct vm_fault *vmf)
{
}

#endif
