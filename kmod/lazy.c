// SPDX-License-Identifier: GPL-2.0-only
/*
 * lazy.c - memory that the kernel may take when it needs some
 *
 *  1. A *chunk* notes which of 32 neighbouring pages (or one 2 MiB page) are lazy.  It is in its
 *     arena's tree, and on a list_lru that is aware of cgroups and nodes, in the list of the cgroup
 *     that was charged for the pages and of the node that has them.  The list is found by the
 *     chunk's own memory: it is allocated on that node, and on that cgroup's account.  So a cgroup
 *     that reaches its limit gets its own lazy pages taken, and a node that runs short those that
 *     it has.  Of pages that differ the first counts.
 *  2. Under lazy_lock a chunk is in one of two states.
 *       LAZY     in the tree and, if there is something to take, on the list.  Freeing lazily sets
 *                bits, reusing clears bits, and whoever clears the last takes the chunk off both
 *                and frees it.
 *       PURGING  in the tree, off the list, the shrinker's.  Its bits do not change.
 *     The shrinker makes a chunk PURGING with list_lru's lock and lazy_lock held, frees the pages
 *     with neither, then takes the chunk out of the tree and frees it, or makes it LAZY again if
 *     some pages could not be had, and wakes who waits.  Everyone else who meets a PURGING chunk
 *     waits for that.
 *  3. Why nothing is lost: pages are freed only for bits of a PURGING chunk.  A bit is set by
 *     freeing lazily, and only in a chunk that is not PURGING.  Reuse returns when there is no bit
 *     for its pages in any chunk, LAZY or PURGING.  Therefore no page is freed between the return
 *     from reuse (when it looks whether the pages are there) and the next time that it is freed
 *     lazily.  Freeing eagerly waits just so: else a purge that began before would take what is
 *     written after.
 *  4. Waiting ends: the shrinker holds no lock of ours while it purges, and waits only for
 *     i_mmap_rwsem, as page reclaim itself does.  Who waits here does not hold it.
 *     It does not wait for folios.  Others allocate with a folio of a file locked (who splits a
 *     huge one, or makes one of many), come here for memory, and would wait for themselves.  A
 *     folio that is locked stays lazy, and so does one that is not lazy as a whole: to cut it
 *     may fail after it was cleared.  So does what is swapped out: that is no memory.
 *  5. The arena outlives the purge: the shrinker takes a reference to it while the chunk is still
 *     on the list, which the last reference's release takes all chunks off, under list_lru's lock.
 *     Putting a reference is left to a task work or a worker by fput(), so that no arena is
 *     released within reclaim.
 *
 * fallocate() has no place here: reclaim may run within one, which has the inode's lock.
 */
#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "internal.h"
#include "trace.h"

#define CHUNK_UNITS 32
/* Dropped at a time with the lock held. */
#define DROP_CHUNKS 64
/* Less than the default 128: a chunk is 32 pages, and what is taken needlessly has to come back. */
#define SHRINK_BATCH_PAGES 128
/* In one go, for a cgroup: more than is charged at once, but for a huge page, which has retries. */
#define ENOUGH_PAGES 256

struct tricolor_chunk {
	struct list_head lru;		/* list_lru's lock; PURGING: the shrinker's */
	struct rb_node node;		/* lazy_lock, as all below */
	struct tricolor_arena *arena;
	u64 index;			/* first unit >> chunk_shift */
	u32 mask;			/* lazy units; not 0 */
	bool purging;
};

static struct kmem_cache *chunk_cache;
static struct list_lru lazy_lru;
static struct tricolor_shrinker shrinker_memory;
static struct shrinker *shrinker;
static bool ready;			/* the list may be looked at */
static atomic64_t all_pages, all_chunks;	/* of all arenas, to tell chunks in pages */

/* The first chunk of those with numbers from @index to @last, or NULL. */
static struct tricolor_chunk *find(struct tricolor_arena *arena, u64 index, u64 last)
{
	struct rb_node *node = arena->chunks.rb_node;
	struct tricolor_chunk *first = NULL;

	while (node) {
		struct tricolor_chunk *chunk = rb_entry(node, struct tricolor_chunk, node);

		if (chunk->index < index) {
			node = node->rb_right;
		} else {
			first = chunk;
			node = node->rb_left;
		}
	}
	return first && first->index <= last ? first : NULL;
}

static void insert(struct tricolor_arena *arena, struct tricolor_chunk *chunk)
{
	struct rb_node **link = &arena->chunks.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = chunk->index < rb_entry(parent, struct tricolor_chunk, node)->index ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&chunk->node, parent, link);
	rb_insert_color(&chunk->node, &arena->chunks);
}

/* The first folio among pages [@first, @end) that is in memory, with a reference; or NULL. */
static struct folio *first_folio(struct tricolor_arena *arena, pgoff_t first, pgoff_t end)
{
	struct address_space *mapping = tricolor_mapping(arena);
	unsigned long at = first;
	struct folio *folio;

	for (; at < end && xa_find(&mapping->i_pages, &at, end - 1, XA_PRESENT); at++) {
		folio = tricolor_find_folio(mapping, at);
		if (folio)
			return folio;
	}
	return NULL;
}

/* Who has paid for a folio, with a reference. */
static struct mem_cgroup *payer(struct folio *folio)
{
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = folio_memcg(folio);
	if (!mem_cgroup_tryget(memcg))
		memcg = NULL;
	rcu_read_unlock();
	return memcg;
}

/* No OOM kill for a note: the range is freed at once then. */
#define GFP_CHUNK (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

/* On @nid, if that has memory for it: only one for any node makes the lists of a new cgroup. */
static struct tricolor_chunk *chunk_alloc_on(int nid)
{
	struct tricolor_chunk *chunk = kmem_cache_alloc_lru(chunk_cache, &lazy_lru, GFP_CHUNK), *there;

	if (!chunk || nid == NUMA_NO_NODE || page_to_nid(virt_to_page(chunk)) == nid)
		return chunk;
	there = kmem_cache_alloc_node(chunk_cache, GFP_CHUNK | __GFP_THISNODE, nid);
	if (!there)
		return chunk;
	kmem_cache_free(chunk_cache, chunk);
	return there;
}

/* For pages [@first, @end): that decides on which list it will be. */
static struct tricolor_chunk *chunk_alloc(struct tricolor_arena *arena, u64 index, pgoff_t first,
					  pgoff_t end)
{
	struct folio *folio = first_folio(arena, first, end);
	struct mem_cgroup *memcg = folio ? payer(folio) : tricolor_owner_memcg(arena), *old;
	struct tricolor_chunk *chunk;

	old = set_active_memcg(memcg);
	chunk = chunk_alloc_on(folio ? folio_nid(folio) : NUMA_NO_NODE);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	if (folio)
		folio_put(folio);
	if (!chunk)
		return NULL;
	INIT_LIST_HEAD(&chunk->lru);
	chunk->arena = arena;
	chunk->index = index;
	chunk->mask = 0;
	chunk->purging = false;
	return chunk;
}

/* @n units more, or less, are lazy.  With lazy_lock. */
static void count(struct tricolor_arena *arena, long n)
{
	s64 bytes = (s64)n << arena->unit_shift;

	lockdep_assert_held(&arena->lazy_lock);
	arena->lazy_bytes += bytes;
	atomic64_add(bytes >> PAGE_SHIFT, &all_pages);
}

static bool is_purging(struct tricolor_arena *arena, u64 index)
{
	struct tricolor_chunk *chunk;
	bool purging;

	spin_lock(&arena->lazy_lock);
	chunk = find(arena, index, index);
	purging = chunk && chunk->purging;
	spin_unlock(&arena->lazy_lock);
	return purging;
}

/*
 * As find(), with lazy_lock held on return, and after any purge of the chunk is over; or an error
 * pointer, without the lock, if a fatal signal came while waiting.
 */
static struct tricolor_chunk *find_lock(struct tricolor_arena *arena, u64 index, u64 last)
{
	struct tricolor_chunk *chunk;
	u64 purged;

	for (;;) {
		spin_lock(&arena->lazy_lock);
		chunk = find(arena, index, last);
		if (!chunk || !chunk->purging)
			return chunk;
		purged = chunk->index;
		spin_unlock(&arena->lazy_lock);
		if (wait_event_killable(arena->purge_wait, !is_purging(arena, purged)))
			return ERR_PTR(-EINTR);
	}
}

/* The bits of chunk @index that lie in units [@first, @end). */
static u32 bits(const struct tricolor_arena *arena, u64 index, u64 first, u64 end)
{
	u64 begin = index << arena->chunk_shift, per_chunk = 1ull << arena->chunk_shift;
	u64 from = max(first, begin) - begin, to = min(end, begin + per_chunk) - begin;

	return (u32)GENMASK_ULL(to - 1, from);
}

/* Those units of @mask that have any contents: of others there is nothing to take. */
static u32 present(struct tricolor_arena *arena, u64 index, u32 mask)
{
	pgoff_t first = (index << arena->chunk_shift) << (arena->unit_shift - PAGE_SHIFT);
	pgoff_t from = __ffs(mask), nr = __fls(mask) - from + 1;
	unsigned long bitmap = 0;

	if (arena->create_flags & TRICOLOR_CREATE_HUGE)
		return tricolor_present(arena, first, 1ul << (HUGE_SHIFT - PAGE_SHIFT), NULL) ?
		       mask : 0;
	tricolor_present(arena, first + from, nr, &bitmap);
	return (u32)(bitmap << from) & mask;
}

static int note_chunk(struct tricolor_arena *arena, u64 index, u32 mask, u64 *bytes, bool *eager)
{
	struct tricolor_chunk *chunk, *spare = NULL;
	unsigned int shift = arena->unit_shift - PAGE_SHIFT;
	pgoff_t first, end;

	mask = present(arena, index, mask);
	if (!mask)
		return 0;
	first = ((index << arena->chunk_shift) + __ffs(mask)) << shift;
	end = ((index << arena->chunk_shift) + __fls(mask) + 1) << shift;
	for (;;) {
		chunk = find_lock(arena, index, index);
		if (IS_ERR(chunk))
			break;
		if (chunk || spare)
			break;
		spin_unlock(&arena->lazy_lock);
		spare = chunk_alloc(arena, index, first, end);
		if (spare)
			continue;
		*eager = true;
		tricolor_free_pages(arena, (u64)first << PAGE_SHIFT, (u64)(end - first) << PAGE_SHIFT);
		return 0;
	}
	if (IS_ERR(chunk)) {
		if (spare)
			kmem_cache_free(chunk_cache, spare);
		return PTR_ERR(chunk);
	}
	if (!chunk) {
		chunk = spare;
		spare = NULL;
		insert(arena, chunk);
		atomic64_inc(&all_chunks);
	}
	/* Also one whose pages were swapped out when the shrinker came. */
	if (list_empty(&chunk->lru))
		list_lru_add_obj(&lazy_lru, &chunk->lru);
	count(arena, hweight32(mask & ~chunk->mask));
	chunk->mask |= mask;
	spin_unlock(&arena->lazy_lock);
	*bytes += (u64)hweight32(mask) << arena->unit_shift;
	if (spare)
		kmem_cache_free(chunk_cache, spare);
	return 0;
}

/**
 * tricolor_lazy_note - the kernel may take these pages from now on
 *
 * Adds to @bytes what there is to be taken.  @eager is set if some of them were freed at once, for
 * want of memory to note them.
 */
int tricolor_lazy_note(struct tricolor_arena *arena, u64 offset, u64 length, u64 *bytes,
		       bool *eager)
{
	u64 first = offset >> arena->unit_shift, end = (offset + length) >> arena->unit_shift;
	unsigned int page_shift = arena->chunk_shift + arena->unit_shift - PAGE_SHIFT;
	unsigned long page = offset >> PAGE_SHIFT;
	unsigned long last_page = ((offset + length) >> PAGE_SHIFT) - 1;
	int err;

	/* From chunk to chunk that has contents: an arena may be far larger than what is in it. */
	while (page <= last_page &&
	       xa_find(&tricolor_mapping(arena)->i_pages, &page, last_page, XA_PRESENT)) {
		u64 index = page >> page_shift;

		err = note_chunk(arena, index, bits(arena, index, first, end), bytes, eager);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		page = (index + 1) << page_shift;
	}
	/* The owner may have gone since the call began, and nobody drops what was noted after. */
	if (tricolor_is_orphan(arena))
		tricolor_lazy_drop(arena);
	return 0;
}

/* Off tree and list.  With lazy_lock; the caller frees it without. */
static void unlink(struct tricolor_arena *arena, struct tricolor_chunk *chunk)
{
	lockdep_assert_held(&arena->lazy_lock);
	WARN_ON_ONCE(chunk->purging);
	rb_erase(&chunk->node, &arena->chunks);
	list_lru_del_obj(&lazy_lru, &chunk->lru);
	atomic64_dec(&all_chunks);
}

/**
 * tricolor_lazy_take - these pages are no longer lazy
 *
 * When it returns 0, no purge of any of them is under way, nor will one begin until they are noted
 * again.  @reuse: to be counted as reused.
 */
int tricolor_lazy_take(struct tricolor_arena *arena, u64 offset, u64 length, bool reuse)
{
	/* An eager range may begin and end within a huge page: that is lazy or not as a whole. */
	u64 first = offset >> arena->unit_shift;
	u64 end = (offset + length + (1ull << arena->unit_shift) - 1) >> arena->unit_shift;
	u64 index = first >> arena->chunk_shift, last = (end - 1) >> arena->chunk_shift;

	/* The caller knows what it has noted, and PURGING chunks are in the tree too. */
	if (RB_EMPTY_ROOT(&arena->chunks))
		return 0;
	for (; index <= last; index++) {
		struct tricolor_chunk *chunk = find_lock(arena, index, last), *empty = NULL;
		u32 mask;

		if (IS_ERR(chunk))
			return PTR_ERR(chunk);
		if (!chunk) {
			spin_unlock(&arena->lazy_lock);
			break;
		}
		index = chunk->index;
		mask = chunk->mask & bits(arena, index, first, end);
		chunk->mask &= ~mask;
		count(arena, -(long)hweight32(mask));
		if (reuse)
			arena->reused_bytes += (u64)hweight32(mask) << arena->unit_shift;
		if (!chunk->mask) {
			unlink(arena, chunk);
			empty = chunk;
		}
		spin_unlock(&arena->lazy_lock);
		if (empty)
			kmem_cache_free(chunk_cache, empty);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Take up to DROP_CHUNKS chunks off tree and list, from number *@from on, which is moved behind them.
 * False: there were no more.
 */
static bool drop_some(struct tricolor_arena *arena, u64 *from)
{
	struct tricolor_chunk *chunk, *next;
	unsigned int seen = 0, dropped = 0;
	u64 lazy_bytes;
	LIST_HEAD(dead);

	spin_lock(&arena->lazy_lock);
	lazy_bytes = arena->lazy_bytes;
	for (chunk = find(arena, *from, U64_MAX); chunk && seen < DROP_CHUNKS; chunk = next) {
		struct rb_node *node = rb_next(&chunk->node);

		next = node ? rb_entry(node, struct tricolor_chunk, node) : NULL;
		*from = chunk->index + 1;
		seen++;
		if (chunk->purging)
			continue;
		count(arena, -(long)hweight32(chunk->mask));
		unlink(arena, chunk);
		list_add(&chunk->lru, &dead);
		dropped++;
	}
	lazy_bytes -= arena->lazy_bytes;
	spin_unlock(&arena->lazy_lock);
	list_for_each_entry_safe(chunk, next, &dead, lru)
		kmem_cache_free(chunk_cache, chunk);
	if (dropped)
		trace_tricolor_drop(arena, dropped, lazy_bytes);
	return seen == DROP_CHUNKS;
}

/**
 * tricolor_lazy_drop - forget all chunks; the memory goes with the arena
 *
 * Those that are being purged are the shrinker's, which has a reference to the arena.  There may be
 * millions: the lock is let go of now and then.  Whoever adds one meanwhile calls this afterwards,
 * because it is for orphans only.
 */
void tricolor_lazy_drop(struct tricolor_arena *arena)
{
	u64 from = 0;

	while (drop_some(arena, &from))
		cond_resched();
}

/* ------------------------------------------------------------------------------------------ */

/* With list_lru's lock, which keeps the chunk from being freed, and so its arena. */
static enum lru_status isolate(struct list_head *item, struct list_lru_one *lru,
			       TRICOLOR_LRU_LOCK void *victims)
{
	struct tricolor_chunk *chunk = container_of(item, struct tricolor_chunk, lru);
	struct tricolor_arena *arena = chunk->arena;

	if (!spin_trylock(&arena->lazy_lock))
		return LRU_SKIP;
	if (!tricolor_get_file(arena->shm)) {
		/* Being released: that frees it. */
		spin_unlock(&arena->lazy_lock);
		return LRU_SKIP;
	}
	chunk->purging = true;
	list_lru_isolate_move(lru, item, victims);
	spin_unlock(&arena->lazy_lock);
	return LRU_REMOVED;
}

/* What a purge has come to. */
struct purge {
	struct folio_batch freed;
	unsigned long pages;		/* freed */
	bool again;			/* what is left may be had another time */
};

/* Takes over the reference to @folio.  @next: of the pages behind it.  False: it stays. */
static bool take_folio(struct address_space *mapping, struct folio *folio, pgoff_t first, pgoff_t end,
		       unsigned long *next, struct purge *purge)
{
	bool taken = false;

	if (folio_trylock(folio)) {
		*next = max(*next, folio_next_index(folio));
		/* It looks whether the folio is the mapping's still. */
		taken = folio->index >= first && folio_next_index(folio) <= end &&
			!generic_error_remove_folio(mapping, folio);
		folio_unlock(folio);
	} else {
		purge->again = true;
	}
	if (!taken) {
		folio_put(folio);
		return false;
	}
	purge->pages += folio_nr_pages(folio);
	if (!folio_batch_add(&purge->freed, folio))
		folio_batch_release(&purge->freed);
	return true;
}

/* Pages [@first, @end), as far as they can be had.  False: some stay. */
static bool take_pages(struct tricolor_arena *arena, pgoff_t first, pgoff_t end, struct purge *purge)
{
	struct address_space *mapping = tricolor_mapping(arena);
	unsigned long at = first;
	bool all = true;
	void *entry;

	while (at < end && (entry = xa_find(&mapping->i_pages, &at, end - 1, XA_PRESENT))) {
		struct folio *folio = xa_is_value(entry) ? NULL : tricolor_find_folio(mapping, at);
		unsigned long next = at + 1;

		if (folio) {
			all &= take_folio(mapping, folio, first, end, &next, purge);
		} else {
			/* Swapped out; or gone this moment, and who knows what comes instead. */
			purge->again |= !xa_is_value(entry);
			all = false;
		}
		at = next;
	}
	return all;
}

/* Those of the chunk's units that had to stay. */
static u32 take_units(struct tricolor_chunk *chunk, struct purge *purge)
{
	struct tricolor_arena *arena = chunk->arena;
	unsigned int shift = arena->unit_shift - PAGE_SHIFT, from, to, unit;
	pgoff_t begin = (chunk->index << arena->chunk_shift) << shift;
	unsigned long mask = chunk->mask;
	u32 left = 0;

	for (from = 0; (from = find_next_bit(&mask, CHUNK_UNITS, from)) < CHUNK_UNITS; from = to) {
		to = find_next_zero_bit(&mask, CHUNK_UNITS, from);
		/* One walk over the mappings, and not one a page. */
		unmap_mapping_pages(tricolor_mapping(arena), begin + ((pgoff_t)from << shift),
				    (pgoff_t)(to - from) << shift, false);
		for (unit = from; unit < to; unit++)
			if (!take_pages(arena, begin + ((pgoff_t)unit << shift),
					begin + ((pgoff_t)(unit + 1) << shift), purge))
				left |= 1u << unit;
	}
	return left;
}

/* Take the pages away, then the chunk if nothing of it is left.  Returns the number of pages. */
static unsigned long purge(struct tricolor_chunk *chunk)
{
	struct tricolor_arena *arena = chunk->arena;
	struct purge purge = {};
	u32 left, gone;

	folio_batch_init(&purge.freed);
	left = take_units(chunk, &purge);
	folio_batch_release(&purge.freed);
	if (purge.pages)
		tricolor_pages_gone(arena);
	spin_lock(&arena->lazy_lock);
	/* Without an owner there is no memory, and nobody who would look for it. */
	if (tricolor_is_orphan(arena))
		left = 0;
	gone = chunk->mask & ~left;
	count(arena, -(long)hweight32(gone));
	arena->purged_bytes += (u64)hweight32(gone) << arena->unit_shift;
	chunk->mask = left;
	chunk->purging = false;
	list_del_init(&chunk->lru);
	if (!left) {
		rb_erase(&chunk->node, &arena->chunks);
		atomic64_dec(&all_chunks);
	} else if (purge.again) {
		list_lru_add_obj(&lazy_lru, &chunk->lru);
	}
	spin_unlock(&arena->lazy_lock);
	/* pairs with is_purging(): it looks again after this, with lazy_lock. */
	wake_up_all(&arena->purge_wait);
	wake_up_all(&arena->wait);
	trace_tricolor_purge(arena, (u64)purge.pages << PAGE_SHIFT);
	if (!left)
		kmem_cache_free(chunk_cache, chunk);
	tricolor_arena_put(arena);
	return purge.pages;
}

static unsigned long pages_a_chunk(void)
{
	s64 pages = atomic64_read(&all_pages), chunks = atomic64_read(&all_chunks);

	return pages > chunks && chunks > 0 ? pages / chunks : 1;
}

static unsigned long count_lazy(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long chunks;

	if (!READ_ONCE(ready))
		return SHRINK_EMPTY;
	chunks = list_lru_shrink_count(&lazy_lru, sc);
	return chunks ? chunks * pages_a_chunk() : SHRINK_EMPTY;
}

static unsigned long scan_lazy(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long per_chunk = pages_a_chunk(), want, walk, freed = 0;
	struct tricolor_chunk *chunk, *next;
	LIST_HEAD(victims);

	/* Pages have to be locked, and another file system may be waiting with some locked. */
	if (!READ_ONCE(ready) || !(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;
	/*
	 * Since 6.4 what shrinkers free does not count when a cgroup is reclaimed: it is noted, and
	 * reclaim goes on until it has found as much on its own lists, or nothing anywhere.
	 * One that has got as much here already does not need all the rest.  (memory.reclaim tries
	 * again, 16 times, whatever it was asked for, and so gets 16 times that much at most.)
	 */
	if (current->reclaim_state && tricolor_reclaimed(current->reclaim_state) >= ENOUGH_PAGES)
		return SHRINK_STOP;
	want = walk = DIV_ROUND_UP(sc->nr_to_scan, per_chunk);
	list_lru_walk_one(&lazy_lru, sc->nid, sc->memcg, isolate, &victims, &walk);
	sc->nr_scanned = (want - walk) * per_chunk;
	list_for_each_entry_safe(chunk, next, &victims, lru)
		freed += purge(chunk);
	/* They come from the page cache, but not by way of its LRU. */
	mm_account_reclaimed_pages(freed);
	if (want != walk)
		tricolor_netlink_purged();
	return want == walk ? SHRINK_STOP : freed;
}

static int init_lru(void)
{
	int err = list_lru_init_memcg(&lazy_lru, shrinker);

	/* pairs with READ_ONCE() in count_lazy() and scan_lazy() */
	if (!err)
		smp_store_release(&ready, true);
	return err;
}

int tricolor_lazy_init(void)
{
	int err;

	chunk_cache = kmem_cache_create("tricolor_chunk", sizeof(struct tricolor_chunk), 0,
					SLAB_ACCOUNT, NULL);
	if (!chunk_cache)
		return -ENOMEM;
	err = -ENOMEM;
	shrinker = tricolor_shrinker_alloc(&shrinker_memory);
	if (!shrinker)
		goto err_destroy_cache;
	shrinker->count_objects = count_lazy;
	shrinker->scan_objects = scan_lazy;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker->batch = SHRINK_BATCH_PAGES;
	if (TRICOLOR_SHRINKER_BEFORE_LRU) {
		err = tricolor_shrinker_register(shrinker);
		if (err)
			goto err_destroy_cache;
		err = init_lru();
	} else {
		err = init_lru();
		if (!err)
			tricolor_shrinker_register(shrinker);
	}
	if (err)
		goto err_unregister;
	return 0;

err_unregister:
	tricolor_shrinker_unregister(shrinker);
err_destroy_cache:
	kmem_cache_destroy(chunk_cache);
	return err;
}

void tricolor_lazy_exit(void)
{
	tricolor_shrinker_unregister(shrinker);
	list_lru_destroy(&lazy_lru);
	kmem_cache_destroy(chunk_cache);
}
