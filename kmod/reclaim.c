// SPDX-License-Identifier: GPL-2.0-only
/*
 * reclaim.c - vectors of ranges: freeing memory at once, and giving some
 *
 * Unmapping a range before it is truncated costs one walk over the reverse mapping where truncating
 * alone does one a page.  Nothing of ours is locked meanwhile: threads that fault in the range get
 * a new page before or after, as with any hole that is punched.
 *
 * shmem's truncation looks up the edges of a range twice and passes over it twice, which for a
 * range of a page or two is most of the cost.  Such ranges are emptied folio by folio (free_few()),
 * and the folios of a whole vector are freed together.  What shmem counts besides (blocks of the
 * file) it finds out the next time that it truncates anything, which is at the end of the vector.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

#define BATCH 32		/* ranges; on the stack */
#define FEW_PAGES 8		/* not more than a folio_batch holds */

/* One call: what it has come to, and folios that are out of the page cache and not freed yet. */
struct vector {
	u64 bytes;
	struct folio_batch freed;
	bool uncounted;			/* shmem does not know of all that are gone */
};

/* What is done with a range; the result goes into it. */
typedef void range_fn(struct tricolor_arena *arena, struct tricolor_range *range,
		      struct vector *vector);

/**
 * tricolor_free_pages - make holes of whole pages
 *
 * Waits for folios' locks.  Returns about how many bytes were freed.
 */
u64 tricolor_free_pages(struct tricolor_arena *arena, u64 offset, u64 length)
{
	struct address_space *mapping = tricolor_mapping(arena);
	u64 before = tricolor_resident_bytes(arena), after;

	unmap_mapping_range(mapping, (loff_t)offset, (loff_t)length, 0);
	shmem_truncate_range(mapping->host, (loff_t)offset, (loff_t)(offset + length - 1));
	/* Others fault and free at the same time. */
	after = tricolor_resident_bytes(arena);
	return before > after ? min(before - after, length) : 0;
}

/** tricolor_pages_gone - pages were taken from the page cache: have shmem count what is left */
void tricolor_pages_gone(struct tricolor_arena *arena)
{
	/* Beyond the end there is nothing to truncate, but it counts. */
	shmem_truncate_range(tricolor_mapping(arena)->host, (loff_t)arena->bytes,
			     (loff_t)(arena->bytes + PAGE_SIZE - 1));
}

static bool is_valid(const struct tricolor_arena *arena, const struct tricolor_range *range,
		     unsigned int shift)
{
	u64 mask = (1ull << shift) - 1;

	return !((range->offset | range->length) & mask) && range->offset <= arena->bytes &&
	       range->length <= arena->bytes - range->offset;
}

/* False: there are huge or swapped-out pages, or some are being moved; nothing is lost by that. */
static bool free_few(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr, struct vector *vector)
{
	struct address_space *mapping = tricolor_mapping(arena);
	struct folio_batch *freed = &vector->freed;
	pgoff_t next = first, last = first + nr - 1, removed;
	unsigned int i, kept, before;

	/* A single one is unmapped as it is removed. */
	if (nr > 1)
		unmap_mapping_pages(mapping, first, nr, false);
	if (folio_batch_count(freed) + nr > FOLIO_BATCH_SIZE)
		folio_batch_release(freed);
	before = kept = i = folio_batch_count(freed);
	filemap_get_folios(mapping, &next, last, freed);
	for (; i < folio_batch_count(freed); i++) {
		struct folio *folio = freed->folios[i];
		bool gone;

		folio_lock(folio);
		gone = !folio_test_large(folio) && !generic_error_remove_folio(mapping, folio);
		folio_unlock(folio);
		/* A huge page that is held by us can't be cut. */
		if (gone)
			freed->folios[kept++] = folio;
		else
			folio_put(folio);
	}
	removed = kept - before;
	freed->nr = kept;
	if (removed) {
		vector->bytes += removed << PAGE_SHIFT;
		vector->uncounted = true;
	}
	next = first;
	return removed == nr || !xa_find(&mapping->i_pages, &next, last, XA_PRESENT);
}

static void free_eagerly(struct tricolor_arena *arena, struct tricolor_range *range,
			 struct vector *vector)
{
	if (!is_valid(arena, range, PAGE_SHIFT)) {
		range->result = -EINVAL;
		return;
	}
	if (!range->length)
		return;
	range->result = tricolor_lazy_take(arena, range->offset, range->length, false);
	if (range->result)
		return;
	if (range->length > FEW_PAGES << PAGE_SHIFT ||
	    !free_few(arena, range->offset >> PAGE_SHIFT, range->length >> PAGE_SHIFT, vector))
		vector->bytes += tricolor_free_pages(arena, range->offset, range->length);
}

static void free_lazily(struct tricolor_arena *arena, struct tricolor_range *range,
			struct vector *vector)
{
	bool eager = false;

	if (!is_valid(arena, range, arena->unit_shift)) {
		range->result = -EINVAL;
		return;
	}
	if (!range->length)
		return;
	range->result = tricolor_lazy_note(arena, range->offset, range->length, &vector->bytes,
					   &eager);
	if (eager)
		range->flags |= TRICOLOR_RANGE_EAGER;
}

static void reuse(struct tricolor_arena *arena, struct tricolor_range *range,
		  struct vector *vector)
{
	u64 present;

	if (!is_valid(arena, range, arena->unit_shift)) {
		range->result = -EINVAL;
		return;
	}
	if (!range->length)
		return;
	range->result = tricolor_lazy_take(arena, range->offset, range->length, true);
	if (range->result)
		return;
	/* From here on nobody takes them. */
	present = tricolor_present(arena, range->offset >> PAGE_SHIFT, range->length >> PAGE_SHIFT,
				   NULL) << PAGE_SHIFT;
	if (present != range->length)
		range->flags |= TRICOLOR_RANGE_GONE;
	vector->bytes += present;
}

/*
 * Each hole by itself, as a fault would fill it.  fallocate() would undo all that it has done when a
 * signal comes (on 6.1 any signal, so that a process with a timer never gets there), and would hold the
 * inode's lock meanwhile.
 */
static int fill_holes(struct tricolor_arena *arena, pgoff_t first, pgoff_t end)
{
	struct address_space *mapping = tricolor_mapping(arena);
	pgoff_t next;

	for (; first < end; first = next) {
		struct page *page;

		next = first + 1;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (xa_load(&mapping->i_pages, first))
			continue;
		page = shmem_read_mapping_page_gfp(mapping, first, mapping_gfp_mask(mapping));
		if (IS_ERR(page))
			return tricolor_is_orphan(arena) ? -ESHUTDOWN : PTR_ERR(page);
		/* What is clean is dropped when memory is short. */
		set_page_dirty(page);
		next = folio_next_index(page_folio(page));
		put_page(page);
	}
	return 0;
}

static void populate(struct tricolor_arena *arena, struct tricolor_range *range,
		     struct vector *vector)
{
	struct mem_cgroup *old, *memcg;

	if (!is_valid(arena, range, PAGE_SHIFT)) {
		range->result = -EINVAL;
		return;
	}
	memcg = tricolor_owner_memcg(arena);
	old = set_active_memcg(memcg);
	range->result = fill_holes(arena, range->offset >> PAGE_SHIFT,
				   (range->offset + range->length) >> PAGE_SHIFT);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
}

static int for_batches(struct tricolor_arena *arena, struct tricolor_ranges *args, range_fn *fn,
		       struct vector *vector)
{
	struct tricolor_range __user *user = u64_to_user_ptr(args->ranges);
	struct tricolor_range ranges[BATCH];
	u32 i, n;

	while (args->done < args->nr) {
		n = min_t(u32, args->nr - args->done, BATCH);
		if (copy_from_user(ranges, user + args->done, n * sizeof(*ranges)))
			return -EFAULT;
		for (i = 0; i < n && !fatal_signal_pending(current); i++) {
			ranges[i].result = 0;
			ranges[i].flags = 0;
			fn(arena, &ranges[i], vector);
			cond_resched();
		}
		if (copy_to_user(user + args->done, ranges, i * sizeof(*ranges)))
			return -EFAULT;
		args->done += i;
		if (i < n)
			return -EINTR;
	}
	return 0;
}

static int for_ranges(struct tricolor_arena *arena, struct tricolor_ranges *args, range_fn *fn)
{
	struct vector vector = {};
	int err;

	folio_batch_init(&vector.freed);
	err = for_batches(arena, args, fn, &vector);
	folio_batch_release(&vector.freed);
	if (vector.uncounted)
		tricolor_pages_gone(arena);
	args->bytes = vector.bytes;
	return err;
}

int tricolor_reclaim(struct tricolor_arena *arena, struct tricolor_ranges *args)
{
	bool lazy = args->flags & TRICOLOR_RECLAIM_LAZY;
	int err = for_ranges(arena, args, lazy ? free_lazily : free_eagerly);

	if (!lazy)
		atomic64_add(args->bytes, &arena->reclaimed_bytes);
	if (lazy)
		trace_tricolor_reclaim_lazy(arena, args->done, args->bytes);
	else
		trace_tricolor_reclaim(arena, args->done, args->bytes);
	return err;
}

int tricolor_reuse(struct tricolor_arena *arena, struct tricolor_ranges *args)
{
	int err = for_ranges(arena, args, reuse);

	trace_tricolor_reuse(arena, args->done, args->bytes);
	return err;
}

int tricolor_populate(struct tricolor_arena *arena, struct tricolor_ranges *args)
{
	return for_ranges(arena, args, populate);
}
