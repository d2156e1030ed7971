// SPDX-License-Identifier: GPL-2.0-only
/*
 * reclaim.c - freeing the memory of many ranges in one call
 *
 * A range is unmapped before it is truncated, which takes one walk over the reverse mapping.
 * Truncating alone would take one for each page.  None of our locks is held meanwhile.  Threads
 * that fault in the range get a new page before or after, as with any hole that is punched.
 *
 * shmem's truncation looks up the edges of a range twice and passes over it twice, which is most of
 * the cost for a range of a page or two.  Such ranges are emptied folio by folio (free_few()), and
 * the folios of a whole vector are freed together.  shmem also counts blocks of the file.  It
 * corrects that count the next time that it truncates anything, which is at the end of the vector.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

#define BATCH 32		/* ranges; on the stack */
#define FEW_PAGES 8		/* not more than a folio_batch holds */

/* One call: its result so far, and folios that left the page cache and are not freed yet. */
struct vector {
	u64 bytes;
	struct folio_batch freed;
	bool uncounted;			/* shmem has still to count pages that are gone */
};

/* Make holes of whole pages, waiting for folios' locks.  Returns roughly the bytes freed. */
static u64 free_pages_of(struct tricolor_arena *arena, u64 offset, u64 length)
{
	struct address_space *mapping = tricolor_mapping(arena);
	u64 before = tricolor_resident_bytes(arena), after;

	unmap_mapping_range(mapping, (loff_t)offset, (loff_t)length, 0);
	shmem_truncate_range(mapping->host, (loff_t)offset, (loff_t)(offset + length - 1));
	/* Others may fault and free at the same time, so it is bounded. */
	after = tricolor_resident_bytes(arena);
	return before > after ? min(before - after, length) : 0;
}

/* Have shmem count the pages that are left, after some were taken from the page cache. */
static void count_pages(struct tricolor_arena *arena)
{
	/* Beyond the end there is nothing to truncate, but shmem counts. */
	shmem_truncate_range(tricolor_mapping(arena)->host, (loff_t)arena->bytes,
			     (loff_t)(arena->bytes + PAGE_SIZE - 1));
}

static bool is_valid(const struct tricolor_arena *arena, const struct tricolor_range *range)
{
	return !((range->offset | range->length) & ~PAGE_MASK) && range->offset <= arena->bytes &&
	       range->length <= arena->bytes - range->offset;
}

/*
 * Free a few pages.  False: some are left, as they are huge, swapped out or being moved.  They are
 * unchanged.
 */
static bool free_few(struct tricolor_arena *arena, pgoff_t first, pgoff_t nr, struct vector *vector)
{
	struct address_space *mapping = tricolor_mapping(arena);
	struct folio_batch *freed = &vector->freed;
	pgoff_t next = first, last = first + nr - 1, removed;
	unsigned int i, kept, before;

	/* A single page is unmapped when it is removed. */
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
		/* Our reference would keep a huge page from being split. */
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

/* The result goes into @range. */
static void free_range(struct tricolor_arena *arena, struct tricolor_range *range,
		       struct vector *vector)
{
	if (!is_valid(arena, range)) {
		range->result = -EINVAL;
		return;
	}
	if (!range->length)
		return;
	if (range->length > FEW_PAGES << PAGE_SHIFT ||
	    !free_few(arena, range->offset >> PAGE_SHIFT, range->length >> PAGE_SHIFT, vector))
		vector->bytes += free_pages_of(arena, range->offset, range->length);
}

static int for_batches(struct tricolor_arena *arena, struct tricolor_ranges *args,
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
			free_range(arena, &ranges[i], vector);
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

int tricolor_reclaim(struct tricolor_arena *arena, struct tricolor_ranges *args)
{
	struct vector vector = {};
	int err;

	folio_batch_init(&vector.freed);
	err = for_batches(arena, args, &vector);
	folio_batch_release(&vector.freed);
	if (vector.uncounted)
		count_pages(arena);
	args->bytes = vector.bytes;
	atomic64_add(vector.bytes, &arena->reclaimed_bytes);
	trace_tricolor_reclaim(arena, args->done, args->bytes);
	return err;
}
