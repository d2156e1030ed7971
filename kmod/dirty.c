// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty.c - which pages were written, from the processor's dirty bits
 *
 * For each group of pages of a range:
 *  1. All folios that are there are locked, and marked dirty: the dirty bits of page tables are
 *     about to go, and a folio that nobody thinks dirty is dropped by reclaim and not swapped out.
 *     Those that come later are marked by the fault that maps them, before anything can be written
 *     to them.
 *  2. clean_record_shared_mapping_range() moves the dirty bits of all mappings into a bitmap.
 *  3. What step 2 can't have seen counts as written: pages that are swapped out, pages that are
 *     mapped nowhere, which have lost their dirty bits to the folio, pages that were one of these
 *     and have been mapped since, and pages whose folio somebody else has locked.  The fault that
 *     maps one tells (tricolor_dirty_fault()).
 *
 * Why no page is missed that was written before.  The dirty bit of the write was in a page table.
 * There it stays until step 2, unless the page is moved or unmapped.  To move one takes its lock,
 * until it is mapped as it was, dirty bits included (tricolor_dirty_possible()): one that is being
 * moved in step 2 is locked by somebody else.  One that was unmapped is mapped again only by a
 * fault, and with its lock: if that was before step 1, it has told, and if not, the page is mapped
 * nowhere in step 3.
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
	pgoff_t first;			/* of the stretch, to which bit 0 belongs */
	unsigned long *bitmap;		/* STRETCH_PAGES bits */
	struct folio **locked;		/* up to GROUP_PAGES, with references */
	unsigned int nr_locked;
};

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

/**
 * tricolor_dirty_possible - whether this machine loses no dirty bit when it moves a page
 *
 * The kernel keeps it in the entry that stands for the page meanwhile, if such entries are wide
 * enough.  They are as wide as those of swapped-out pages, which the kernel narrows on processors
 * that look into memory by way of them (L1TF).  With mitigations=off it does not, which is for the
 * kernel alone to know.
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

/* Pages [@from, @to) are written, as far as they are in the group [@first, @end). */
static void set_bits(struct collection *c, pgoff_t from, pgoff_t to, pgoff_t first, pgoff_t end)
{
	from = max(from, first);
	to = min(to, end);
	bitmap_set(c->bitmap, from - c->first, to - from);
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

/* Add what faults have marked, and take the marks off. */
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
 * Mark a folio dirty and lock it.  Takes over the reference.  False: somebody else has it locked,
 * or it has just gone, to swap maybe.
 *
 * Nobody is waited for: others are locked already.
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
 * Lock all folios of the group.  Pages count as written that are swapped out, or whose folio can't
 * be had.
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
		if (!lock_one(c, folio))
			set_bits(c, begin, begin + pages, first, end);
	}
	rcu_read_unlock();
}

/* What is mapped nowhere counts as written. */
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
 * With dirty_lock, but for while it copies.  Of a collection that fails what was delivered is said,
 * by @args->length, and what was not is collected again.
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
			/*
			 * The owner's memory may keep us here for ever, and must not keep others.
			 */
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
	 * From here on nothing is mapped but by faults that know it, or whose folios are there to
	 * be seen by the walk.  That is a barrier too.
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
