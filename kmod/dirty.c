// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty.c - which pages were written, from the processor's dirty bits
 *
 * For each group of pages of a range:
 *  1. All folios that are there are locked, and marked dirty.  The dirty bits of page tables are
 *     about to be cleared, and reclaim would drop a folio that looks clean instead of swapping it
 *     out.  Folios that come later are marked by the fault that maps them, before anything can be
 *     written to them.
 *  2. clean_record_shared_mapping_range() moves the dirty bits of all mappings into a bitmap.
 *  3. Pages that step 2 can't have seen count as written: those that are swapped out; those that
 *     are mapped nowhere, whose dirty bits went to the folio; those that were one of these and have
 *     been mapped since, which the fault that maps one marks (tricolor_dirty_fault()); and those
 *     whose folio is locked by another task.
 *
 * Why no page is missed that was written before.  The dirty bit of the write was in a page table.
 * It stays there until step 2, unless the page is moved or unmapped.  A page that is moved is
 * locked until it is mapped as before, with its dirty bits (tricolor_dirty_possible()).  So a page
 * that is being moved in step 2 is locked by another task.  A page that was unmapped is mapped
 * again only by a fault, which holds its lock.  If that was before step 1, the fault has marked it.
 * If not, the page is mapped nowhere in step 3.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "internal.h"
#include "trace.h"

#if IS_ENABLED(CONFIG_MAPPING_DIRTY_HELPERS)

#define STRETCH_PAGES 32768u		/* 4 KiB of bitmap */
#define GROUP_PAGES 512u		/* what one page table maps */

struct collection {
	struct tricolor_arena *arena;
	pgoff_t first;			/* the first page of the stretch, which has bit 0 */
	unsigned long *bitmap;		/* STRETCH_PAGES bits */
	struct folio **locked;		/* up to GROUP_PAGES folios, with references */
	unsigned int nr_locked;
};

/*
 * The mark in the page cache of a page that counts as written.  File systems use it for what they
 * are about to write back, and shmem writes nothing back.
 */
#define MARK_MAPPED PAGECACHE_TAG_TOWRITE

/**
 * tricolor_dirty_fault - a fault is about to map a page of a folio, which is locked
 *
 * From here on the folio is dirty, whatever becomes of the dirty bits in page tables, which
 * collecting clears for pages as well that it has not seen before.
 *
 * As the folio is locked, it can't be swapped out.  So a page that is mapped nowhere now is first
 * mapped by this fault.  A large folio may be mapped in part.
 */
void tricolor_dirty_fault(struct tricolor_arena *arena, const struct vm_fault *vmf)
{
	struct xarray *pages = &tricolor_mapping(arena)->i_pages;
	struct folio *folio = page_folio(vmf->page);

	/* The folio is in the page cache before this.  It pairs with the barrier in begin(). */
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

/**
 * tricolor_dirty_possible - whether this machine loses no dirty bit when it moves a page
 *
 * Meanwhile the kernel keeps the bit in the entry that stands for the page, if such entries are
 * wide enough.  They are as wide as those of swapped-out pages.  The kernel narrows these on
 * processors that may read memory through them (L1TF), but not with mitigations=off, which modules
 * can't see.
 */
bool tricolor_dirty_possible(void)
{
	if (!IS_ENABLED(CONFIG_SWAP))
		return false;
#ifdef CONFIG_X86
	if (boot_cpu_has_bug(X86_BUG_L1TF))
		return (u64)l1tf_pfn_limit() << (PAGE_SHIFT - SWP_OFFSET_FIRST_BIT) >=
		       1ull << SWP_MIG_TOTAL_BITS;
#endif
	return true;
}

/* Count pages [@from, @to) as written, as far as they are in the group [@first, @end). */
static void set_bits(struct collection *c, pgoff_t from, pgoff_t to, pgoff_t first, pgoff_t end)
{
	from = max(from, first);
	to = min(to, end);
	bitmap_set(c->bitmap, from - c->first, to - from);
}

/* Let other tasks run between two entries of a walk.  Called with the lock held. */
static void give_way(struct xa_state *xas)
{
	if (!need_resched())
		return;
	xas_pause(xas);
	xas_unlock_irq(xas);
	cond_resched();
	xas_lock_irq(xas);
}

/* Count what faults have marked as written, and clear the marks. */
static void take_marks(struct collection *c, pgoff_t first, pgoff_t end)
{
	XA_STATE(xas, &tricolor_mapping(c->arena)->i_pages, first);
	void *entry;

	xas_lock_irq(&xas);
	xas_for_each_marked(&xas, entry, end - 1, MARK_MAPPED) {
		pgoff_t pages = 1ul << xas_get_order(&xas), begin = round_down(xas.xa_index, pages);

		set_bits(c, begin, begin + pages, first, end);
		xas_clear_mark(&xas, MARK_MAPPED);
		give_way(&xas);
	}
	xas_unlock_irq(&xas);
}

/*
 * Mark a folio dirty and lock it.  Takes over the reference.  False: another task has it locked, or
 * it has just left the page cache, maybe to swap.
 *
 * It does not wait for a lock, as it holds those of other folios.
 */
static bool lock_one(struct collection *c, struct folio *folio)
{
	if (!folio_test_dirty(folio))
		folio_mark_dirty(folio);
	if (folio_trylock(folio)) {
		if (folio->mapping == tricolor_mapping(c->arena)) {
			c->locked[c->nr_locked++] = folio;
			return true;
		}
		folio_unlock(folio);
	}
	folio_put(folio);
	return false;
}

/*
 * Lock all folios of the group.  Pages that are swapped out, or whose folio can't be locked, count
 * as written.
 */
static void lock_folios(struct collection *c, pgoff_t first, pgoff_t end)
{
	XA_STATE(xas, &tricolor_mapping(c->arena)->i_pages, first);
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		pgoff_t pages, begin;

		if (xas_retry(&xas, folio))
			continue;
		pages = 1ul << xas_get_order(&xas);
		begin = round_down(xas.xa_index, pages);
		if (xa_is_value(folio)) {
			set_bits(c, begin, begin + pages, first, end);
			continue;
		}
		/* It is being freed.  What takes its place is read next. */
		if (!folio_try_get(folio)) {
			xas_reset(&xas);
			continue;
		}
		if (xas_reload(&xas) != folio) {
			folio_put(folio);
			xas_reset(&xas);
			continue;
		}
		if (!lock_one(c, folio))
			set_bits(c, begin, begin + pages, first, end);
	}
	rcu_read_unlock();
}

/* Count pages that are mapped nowhere as written, and unlock all. */
static void unlock_folios(struct collection *c, pgoff_t first, pgoff_t end)
{
	unsigned int i;

	for (i = 0; i < c->nr_locked; i++) {
		struct folio *folio = c->locked[i];

		if (!folio_mapped(folio))
			set_bits(c, folio->index, folio_next_index(folio), first, end);
	}
	take_marks(c, first, end);
	for (i = 0; i < c->nr_locked; i++) {
		folio_unlock(c->locked[i]);
		folio_put(c->locked[i]);
	}
	c->nr_locked = 0;
}

static void collect_group(struct collection *c, pgoff_t first, pgoff_t end)
{
	pgoff_t set_first = 0, set_end = 0;

	lock_folios(c, first, end);
	clean_record_shared_mapping_range(tricolor_mapping(c->arena), first, end - first, c->first,
					  c->bitmap, &set_first, &set_end);
	unlock_folios(c, first, end);
}

static void collect_stretch(struct collection *c, pgoff_t first, pgoff_t nr)
{
	pgoff_t end = first + nr, next;

	c->first = first;
	bitmap_zero(c->bitmap, STRETCH_PAGES);
	for (; first < end; first = next) {
		next = min(first + GROUP_PAGES, end);
		collect_group(c, first, next);
		cond_resched();
	}
}

/* The result could not be delivered, so the pages are to count as written the next time, too. */
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
 * Called with dirty_lock, which it drops while it copies.  If a collection fails, @args->length
 * says how much was delivered, and the rest is collected again the next time.
 */
static int walk(struct tricolor_arena *arena, struct tricolor_dirty *args, bool collect)
{
	pgoff_t first = args->offset >> PAGE_SHIFT, pages = args->length >> PAGE_SHIFT, done, nr;
	u64 __user *user = u64_to_user_ptr(args->bitmap);
	struct collection c = { .arena = arena };
	int err = 0;

	c.bitmap = bitmap_alloc(STRETCH_PAGES, GFP_KERNEL);
	c.locked = kmalloc_array(GROUP_PAGES, sizeof(*c.locked), GFP_KERNEL);
	if (!c.bitmap || !c.locked)
		err = -ENOMEM;
	for (done = 0; done < pages && !err; done += nr) {
		nr = min_t(pgoff_t, pages - done, STRETCH_PAGES);
		collect_stretch(&c, first + done, nr);
		if (collect) {
			args->dirty_pages += bitmap_weight(c.bitmap, nr);
			/* Copying to the caller's memory may block for ever, but not others. */
			mutex_unlock(&arena->dirty_lock);
			if (copy_to_user(user + done / 64, c.bitmap,
					 DIV_ROUND_UP(nr, 64) * sizeof(u64)))
				err = -EFAULT;
			mutex_lock(&arena->dirty_lock);
			if (err) {
				args->dirty_pages -= bitmap_weight(c.bitmap, nr);
				put_back(arena, first + done, nr, c.bitmap);
				nr = 0;
			} else if (!arena->dirty_tracked) {
				err = -ENODATA;
			}
		}
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	kfree(c.locked);
	bitmap_free(c.bitmap);
	if (collect)
		args->length = (u64)done << PAGE_SHIFT;
	return err;
}

static int begin(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	int err;

	WRITE_ONCE(arena->dirty_tracked, true);
	/*
	 * From here on each fault that maps a page has seen dirty_tracked, or its folio is in the
	 * page cache for the walk to see.  This is also a barrier.
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
	/* Cleaning does not read the entries of huge pages in page tables. */
	if (arena->create_flags & TRICOLOR_CREATE_HUGE || !tricolor_dirty_possible())
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

bool tricolor_dirty_possible(void)
{
	return false;
}

int tricolor_dirty(struct tricolor_arena *arena, struct tricolor_dirty *args)
{
	return -EOPNOTSUPP;
}

void tricolor_dirty_fault(struct tricolor_arena *arena, const struct vm_fault *vmf)
{
}

#endif
