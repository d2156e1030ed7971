// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pool.c - pools of objects that are used again: what Go's sync.Pool does
 *
 *	pool -> table -> shard of each thread -> one object
 *	                                      -> rings of further objects
 *
 *  put	The thread's own shard takes the object: as the one that it holds, or else in its newest
 *	ring.  A ring that is full is followed by one twice as large.
 *  get	The thread looks in its own shard, then takes from the rings of other threads, then from the
 *	last generation's table, the *victim*.  If there is nothing anywhere, the pool's make() is
 *	called.
 *
 * A table belongs to one generation, and lives for one cycle after it: pool_roots.h says how.  The
 * pool's own words for the two tables are not scanned.  They hold a pointer and the number of its
 * generation.  A writer stores the pointer first, and a reader loads the number first.  So the
 * table is of the generation that the number says, or of a later one, and if the number is that of
 * a generation that is kept, the table is kept.
 *
 * Who may do what:
 *
 *	the one object	only the thread whose shard it is, so that this needs no atomic instruction
 *	a ring		its thread adds and takes at the head, others take at the tail.  The
 *			compare-and-swap of `ends` decides who has an index.  After that the taker
 *			clears the slot, and only then its thread may fill it again.
 *	a chain of rings  its thread adds rings, and drops empty ones.  Others follow it.
 *	a table		whoever has the lock in pool_roots.h
 *
 * A shard goes with the number of the thread's slot.  When a thread ends, the next one with this
 * number has the shard.  A thread that ends in the middle leaves a slot filled that no index names.
 * The ring then counts as full when its head comes there.
 *
 * All of this happens inside the library, except for allocations and the calls of make() and
 * reset().  These may take any time, jump out, or use the pool themselves.
 */
#include <errno.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "inside.h"
#include "../base/lock.h"
#include "../roots/pool_roots.h"
#include "tricolor.h"

#define FIRST_RING 16u
#define LARGEST_RING (1u << 28)
#define FIRST_TABLE 14u			/* shards; with the header, 128 bytes */
#define AT_ONCE 64u			/* shards that a thread passes before it comes out */

/* Objects of one thread.  Collected, as all that a table leads to. */
struct ring {
	tri_au64 ends;			/* pack() of head and tail; head - tail are in use */
	struct ring *older;		/* smaller; only its thread stores here */
	uint64_t slots;			/* a power of two */
	void *slot[];
};

/* What one thread has put into one pool in one generation: two lines that no other thread has. */
struct shard {
	void *one;
	struct ring *newest;
	char pad[112];
};

struct table {
	struct table *next;		/* another one of the same generation */
	uint64_t shards;
	tri_au64 emptied;		/* the epoch in which it was the victim and nothing was
					 * found in it */
	struct shard *shard[];		/* by the number of a thread's slot */
};

/* A table and its generation.  Neither is scanned. */
struct reference {
	tri_au64 epoch;
	_Atomic(struct table *) table;
};

struct tri_pool {
	void *(*make)(void *arg);
	void (*reset)(void *object, void *arg);
	void *arg;
	struct reference latest;	/* the lock in pool_roots.h */
	struct reference former;	/* the one before; may be older than the victim */
};

/* Only @arg is scanned. */
static const uint64_t pool_pointers = 1ull << offsetof(struct tri_pool, arg) / 8;
static const struct tri_type pool_type = { sizeof(struct tri_pool), &pool_pointers, "tri_pool" };

/* ------------------------------------------------------------------------------------------ */
/* Rings                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/*
 * Head and tail count up to 31 bits and begin again at 0.  With the highest bit set, the word looks
 * like no address, as the collector scans it with the rest of the ring.
 */
#define COUNT_MASK 0x7fffffffull

static uint64_t pack(uint64_t head, uint64_t tail)
{
	return 1ull << 63 | (head & COUNT_MASK) << 32 | (tail & COUNT_MASK);
}

static uint64_t head_of(uint64_t ends)
{
	return ends >> 32 & COUNT_MASK;
}

static uint64_t tail_of(uint64_t ends)
{
	return ends & COUNT_MASK;
}

static uint64_t count_of(uint64_t ends)
{
	return (head_of(ends) - tail_of(ends)) & COUNT_MASK;
}

static void **slot_of(struct ring *r, uint64_t index)
{
	return &r->slot[index & (r->slots - 1)];
}

/* Empty the slot at @index, which the calling thread has taken. */
static void *take_slot(struct ring *r, uint64_t index)
{
	void **slot = slot_of(r, index), *object = __atomic_load_n(slot, __ATOMIC_RELAXED);

	/* This store releases: pairs with the acquire in ring_add(). */
	(tri_store)(slot, NULL);
	return object;
}

/* By the ring's thread.  False: it is full. */
static bool ring_add(struct ring *r, void *object)
{
	uint64_t ends = tri_read(&r->ends);
	void **slot = slot_of(r, head_of(ends));

	/* Another thread may have taken the index, and not yet emptied the slot. */
	if (count_of(ends) == r->slots || __atomic_load_n(slot, __ATOMIC_ACQUIRE))
		return false;
	(tri_store)(slot, object);
	/* Release: pairs with the acquire in ring_take(). */
	while (!atomic_compare_exchange_weak_explicit(&r->ends, &ends,
						      pack(head_of(ends) + 1, tail_of(ends)),
						      memory_order_release, memory_order_relaxed))
		;
	return true;
}

/* Take what the ring's thread added last, if that thread calls, or else what it added first. */
static void *ring_take(struct ring *r, bool own)
{
	uint64_t ends = tri_read_acquire(&r->ends), head, tail;

	do {
		if (!count_of(ends))
			return NULL;
		head = head_of(ends) - (own ? 1 : 0);
		tail = tail_of(ends) + (own ? 0 : 1);
	} while (!atomic_compare_exchange_weak_explicit(&r->ends, &ends, pack(head, tail),
							memory_order_acq_rel,
							memory_order_acquire));
	TRI_POINT("pool.claimed");
	return take_slot(r, own ? head : tail - 1);
}

static struct ring *newest_ring(struct shard *s)
{
	return __atomic_load_n(&s->newest, __ATOMIC_ACQUIRE);
}

/* By the shard's thread, which drops older rings that are empty: they are not filled again. */
static void *rings_take_own(struct shard *s)
{
	struct ring *r, *older;
	void *object;

	for (r = newest_ring(s); r; r = older) {
		object = ring_take(r, true);
		if (object)
			return object;
		older = __atomic_load_n(&r->older, __ATOMIC_RELAXED);
		if (older && !count_of(tri_read(&older->ends))) {
			older = __atomic_load_n(&older->older, __ATOMIC_RELAXED);
			(tri_store)(&r->older, older);
		}
	}
	return NULL;
}

static void *rings_take(struct shard *s)
{
	struct ring *r;
	void *object = NULL;

	for (r = newest_ring(s); r && !object; r = __atomic_load_n(&r->older, __ATOMIC_ACQUIRE))
		object = ring_take(r, false);
	return object;
}

/* ------------------------------------------------------------------------------------------ */
/* Tables and shards: inside                                                                  */
/* ------------------------------------------------------------------------------------------ */

/*
 * The table of @ref.  It is of generation *@epoch or a later one, and to be used only if the caller
 * finds after this that generation *@epoch is kept.
 */
static struct table *table_of(const struct reference *ref, uint64_t *epoch)
{
	/* Both acquire: pair with the stores in set_reference(). */
	*epoch = tri_read_acquire(&ref->epoch);
	return atomic_load_explicit(&ref->table, memory_order_acquire);
}

static void set_reference(struct reference *ref, struct table *table, uint64_t epoch)
{
	atomic_store_explicit(&ref->table, table, memory_order_release);
	tri_write_release(&ref->epoch, epoch);
}

static struct table *current_table(const tri_pool *pool)
{
	uint64_t epoch;
	struct table *table = table_of(&pool->latest, &epoch);

	return likely(epoch == tri_read_acquire(&tri_pool_roots.epoch)) ? table : NULL;
}

/* The generation before may have no newer one yet in this pool, and then is its latest. */
static struct table *victim_table(const tri_pool *pool)
{
	uint64_t latest_epoch, former_epoch;
	struct table *latest = table_of(&pool->latest, &latest_epoch);
	struct table *former = table_of(&pool->former, &former_epoch);
	uint64_t victim = tri_read_acquire(&tri_pool_roots.epoch) - 1;

	if (latest_epoch == victim)
		return latest;
	return former_epoch == victim ? former : NULL;
}

/* The shard with number @i; NULL: there is none yet. */
static struct shard *shard_of(struct table *table, uint32_t i)
{
	return table && i < table->shards ? __atomic_load_n(&table->shard[i], __ATOMIC_ACQUIRE) :
					    NULL;
}

/* By the shard's thread. */
static void *take_one(struct shard *s)
{
	void *object = s->one;

	if (object)
		(tri_store)(&s->one, NULL);
	return object;
}

/*
 * Take from the rings of any thread, beginning behind the calling one's.  The agent waits for a
 * thread that is inside, so the thread comes out now and then.  If a generation has begun meanwhile
 * it gives up.  *@t is NULL if the thread could not come in again.
 */
static void *steal(const tri_pool *pool, struct tri_thread **t,
		   struct table *(*find)(const tri_pool *pool))
{
	struct table *table = find(pool);
	uint64_t n = table ? table->shards : 0, first = (*t)->slot_index, i;
	void *object = NULL;

	for (i = 1; i <= n && !object; i++) {
		struct shard *s = shard_of(table, (uint32_t)((first + i) % n));

		if (s)
			object = rings_take(s);
		if (i % AT_ONCE == 0 && !object) {
			tri_leave(*t);
			*t = tri_enter();
			if (!*t || table != find(pool))
				break;
		}
	}
	return object;
}

/* There is nothing in the thread's own shard, or it has none. */
static __attribute__((noinline)) void *get_slow(const tri_pool *pool, struct tri_thread **t)
{
	struct table *table;
	struct shard *s;
	uint64_t epoch;
	void *object = steal(pool, t, current_table);

	if (object || !*t)
		return object;
	epoch = tri_read_acquire(&tri_pool_roots.epoch);
	table = victim_table(pool);
	if (!table || tri_read(&table->emptied) == epoch)
		return NULL;
	s = shard_of(table, (*t)->slot_index);
	object = s ? take_one(s) : NULL;
	if (!object)
		object = steal(pool, t, victim_table);
	/*
	 * The loop may have been given up, but then @epoch is over.  A thread that took this table
	 * for the latest one may yet add to it: that object is not found.
	 */
	if (!object && *t && table == victim_table(pool))
		tri_write(&table->emptied, epoch);
	return object;
}

/* ------------------------------------------------------------------------------------------ */
/* Making shards and rings                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* What put() needs, and allocates while it is outside. */
struct fresh {
	struct table *table;
	struct shard *shard;
	struct ring *ring;
};

/* Make @fresh the pool's table.  Called inside, with the lock. */
static void install_table(tri_pool *pool, struct table *fresh, struct table *old, uint64_t epoch)
{
	void **root = &tri_pool_roots.tables[epoch % 2];
	uint64_t i;

	for (i = 0; old && i < old->shards; i++)
		(tri_store)(&fresh->shard[i], old->shard[i]);
	(tri_store)(&fresh->next, __atomic_load_n(root, __ATOMIC_RELAXED));
	(tri_store)(root, fresh);
	if (!old)
		set_reference(&pool->former,
			      atomic_load_explicit(&pool->latest.table, memory_order_relaxed),
			      tri_read(&pool->latest.epoch));
	set_reference(&pool->latest, fresh, epoch);
}

/* Give the thread a shard, if @fresh has what that needs. */
static void install_shard(tri_pool *pool, const struct tri_thread *t, struct fresh *fresh)
{
	uint32_t i = t->slot_index;
	struct table *table;
	uint64_t epoch;

	tri_lock(&tri_pool_roots.lock);
	/* The thread is inside: if a generation begins now, this one becomes the victim. */
	epoch = tri_read_acquire(&tri_pool_roots.epoch);
	table = tri_read(&pool->latest.epoch) == epoch ?
			atomic_load_explicit(&pool->latest.table, memory_order_relaxed) :
			NULL;
	if ((!table || i >= table->shards) && fresh->table && i < fresh->table->shards) {
		install_table(pool, fresh->table, table, epoch);
		table = fresh->table;
		fresh->table = NULL;
	}
	if (table && i < table->shards && !table->shard[i]) {
		(tri_store)(&table->shard[i], fresh->shard);
		fresh->shard = NULL;
	}
	tri_unlock(&tri_pool_roots.lock);
}

static struct table *new_table(uint32_t i)
{
	uint64_t shards = FIRST_TABLE;
	struct table *table;

	while (shards <= i)
		shards *= 2;
	table = tri_alloc(sizeof(*table) + shards * sizeof(table->shard[0]));
	if (table)
		table->shards = shards;
	return table;
}

static struct ring *new_ring(uint64_t slots)
{
	struct ring *r = tri_alloc(sizeof(*r) + slots * sizeof(r->slot[0]));

	if (r) {
		r->slots = slots;
		tri_write(&r->ends, pack(0, 0));
	}
	return r;
}

/*
 * Allocate what is missing, outside: a shard if there is none, or else a ring behind those of @s.
 * False: there is no memory.
 */
static bool allocate(struct fresh *fresh, const struct table *table, const struct shard *s,
		     uint32_t i, uint64_t slots)
{
	if (s) {
		fresh->ring = slots <= LARGEST_RING ? new_ring(slots) : NULL;
		return fresh->ring;
	}
	if (!fresh->shard)
		fresh->shard = tri_alloc(sizeof(*fresh->shard));
	if (table && i < table->shards)
		return fresh->shard;
	if (!fresh->table || i >= fresh->table->shards)
		fresh->table = new_table(i);
	return fresh->shard && fresh->table;
}

/* The thread's shard has no room, or there is none.  Called inside, and returns outside. */
static __attribute__((noinline)) void put_slow(tri_pool *pool, struct tri_thread *t, void *object)
{
	struct fresh fresh = { NULL, NULL, NULL };
	bool enough = true, done = false;
	int err = errno;

	while (enough && !done) {
		uint32_t i = t->slot_index;
		struct table *table = current_table(pool);
		struct shard *s = shard_of(table, i);
		struct ring *r;
		uint64_t slots;

		if (!s && fresh.shard) {
			install_shard(pool, t, &fresh);
			table = current_table(pool);
			s = shard_of(table, i);
		}
		if (s && !s->one) {
			(tri_store)(&s->one, object);
			break;
		}
		r = s ? newest_ring(s) : NULL;
		slots = r ? 2 * r->slots : FIRST_RING;
		if (s && (!r || !(done = ring_add(r, object))) && fresh.ring) {
			(tri_store)(&fresh.ring->older, r);
			(tri_store)(&s->newest, fresh.ring);
			done = ring_add(fresh.ring, object);
			fresh.ring = NULL;
		}
		if (done)
			break;
		tri_leave(t);
		enough = allocate(&fresh, table, s, i, slots);
		errno = err;
		t = tri_enter();
		if (!t)
			return;
	}
	tri_leave(t);
}

/* ------------------------------------------------------------------------------------------ */
/* What programs call                                                                         */
/* ------------------------------------------------------------------------------------------ */

TRI_EXPORT tri_pool *tri_pool_new(void *(*make)(void *arg),
				  void (*reset)(void *object, void *arg), void *arg)
{
	tri_pool *pool = tri_alloc_typed(&pool_type, 1);

	if (pool) {
		pool->make = make;
		pool->reset = reset;
		(tri_store)(&pool->arg, arg);
	}
	return pool;
}

TRI_EXPORT void *tri_pool_get(tri_pool *pool)
{
	struct tri_thread *t = tri_enter();
	void *object = NULL;

	if (likely(t)) {
		struct shard *s = shard_of(current_table(pool), t->slot_index);

		if (likely(s)) {
			object = take_one(s);
			if (!object)
				object = rings_take_own(s);
		}
		if (!object)
			object = get_slow(pool, &t);
		if (likely(t))
			tri_leave(t);
	}
	return object || !pool->make ? object : pool->make(pool->arg);
}

/* Called inside.  True: @object is in the thread's shard. */
static bool put_quickly(const tri_pool *pool, struct tri_thread *t, void *object)
{
	struct shard *s = shard_of(current_table(pool), t->slot_index);
	struct ring *r;

	if (likely(s && !s->one)) {
		(tri_store)(&s->one, object);
		return true;
	}
	r = s ? newest_ring(s) : NULL;
	return r && ring_add(r, object);
}

TRI_EXPORT void tri_pool_put(tri_pool *pool, void *object)
{
	struct tri_thread *t;

	if (!object)
		return;
	if (pool->reset)
		pool->reset(object, pool->arg);
	t = tri_enter();
	if (unlikely(!t))
		return;
	if (likely(put_quickly(pool, t, object)))
		tri_leave(t);
	else
		put_slow(pool, t, object);
}
