// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cache of strings, least recently used out first, that several threads share: a large heap in
 * which much lives long, and little dies young.  Each operation looks a key up; if it is there, the
 * entry moves to the front of its list, and if not, a new entry takes the place of the last one.
 *
 * capacity=N keys=N threads=N ops=N.  Keys are drawn so that each doubling of their number gets the
 * same share, as words of a language do: the cache hits in about log(capacity) / log(keys).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "latency.h"
#include "workload.h"

#define LRU_SHARDS 16
#define LRU_KEY_MAX 64
#define LRU_VALUE_MIN 16
#define LRU_VALUE_SPAN 256	/* sizes of values are 16 to 271 */
#define LRU_MAX_THREADS 64

struct lru_entry {
	struct lru_entry *chain;	/* next of the same bucket */
	struct lru_entry *newer;
	struct lru_entry *older;
	char *key;			/* not terminated */
	unsigned char *value;		/* begins with the number of the key */
	uint64_t hash;
	uint32_t key_len;
	uint32_t value_len;
};

/* Global, and so a root: pointers are stored with bind_store() here too. */
static struct lru_shard {
	pthread_mutex_t lock;
	struct lru_entry **buckets;	/* a power of two of them */
	struct lru_entry *newest;
	struct lru_entry *oldest;
	uint64_t mask;
	uint64_t count;
	uint64_t capacity;
	uint64_t hits;
	uint64_t misses;
} __attribute__((aligned(128))) lru_shards[LRU_SHARDS];

struct lru_thread {
	pthread_t id;
	uint64_t seed;
	uint64_t ops;
	unsigned int key_bits;
	struct latency *latency;
};

struct lru_key {
	char text[LRU_KEY_MAX];
	uint32_t len;
	uint64_t number;
	uint64_t hash;
};

/* "item/", the number in hexadecimal, and up to 15 more, so that lengths differ. */
static void lru_key_make(struct lru_key *key, uint64_t number)
{
	uint64_t hash = 0xcbf29ce484222325ull, rest = number;
	char *p = key->text;

	memcpy(p, "item/", 5);
	p += 5;
	do {
		*p++ = "0123456789abcdef"[rest & 15];
		rest >>= 4;
	} while (rest);
	for (uint64_t i = 0; i < (number & 15); i++)
		*p++ = '.';
	key->len = (uint32_t)(p - key->text);
	key->number = number;
	/* FNV-1a, with its upper bits mixed into the lower. */
	for (uint32_t i = 0; i < key->len; i++)
		hash = (hash ^ (unsigned char)key->text[i]) * 0x100000001b3ull;
	key->hash = (hash ^ hash >> 29) * 0x9e3779b97f4a7c15ull;
}

/* Numbers from 1 to 2^@bits - 1; each power of two is as likely as any other. */
static uint64_t lru_draw(uint64_t *seed, unsigned int bits)
{
	uint64_t level = random_below(seed, bits);

	return (1ull << level) + random_below(seed, 1u << level);
}

static uint32_t lru_value_len(uint64_t hash)
{
	return LRU_VALUE_MIN + (uint32_t)(hash >> 8) % LRU_VALUE_SPAN;
}

static void lru_check(const struct lru_entry *entry, uint64_t number)
{
	if (memcmp(entry->value, &number, sizeof(number)) ||
	    entry->value[entry->value_len - 1] != (unsigned char)number)
		fail("the value of key %llu is another's", (unsigned long long)number);
}

static void lru_list_push(struct lru_shard *shard, struct lru_entry *entry)
{
	struct lru_entry *next = shard->newest;

	bind_store(&entry->newer, NULL);
	bind_store(&entry->older, next);
	if (next)
		bind_store(&next->newer, entry);
	else
		bind_store(&shard->oldest, entry);
	bind_store(&shard->newest, entry);
}

static void lru_list_remove(struct lru_shard *shard, struct lru_entry *entry)
{
	if (entry->newer)
		bind_store(&entry->newer->older, entry->older);
	else
		bind_store(&shard->newest, entry->older);
	if (entry->older)
		bind_store(&entry->older->newer, entry->newer);
	else
		bind_store(&shard->oldest, entry->newer);
}

static void lru_free(struct lru_entry *entry)
{
	bind_free(entry->key);
	bind_free(entry->value);
	bind_free(entry);
}

static void lru_evict(struct lru_shard *shard)
{
	struct lru_entry *entry = shard->oldest;
	struct lru_entry **link = &shard->buckets[entry->hash & shard->mask];

	while (*link != entry)
		link = &(*link)->chain;
	bind_store(link, entry->chain);
	lru_list_remove(shard, entry);
	shard->count--;
	lru_free(entry);
}

static void lru_insert(struct lru_shard *shard, const struct lru_key *key)
{
	struct lru_entry **bucket = &shard->buckets[key->hash & shard->mask];
	struct lru_entry *entry = bind_alloc(sizeof(*entry));
	uint32_t value_len = lru_value_len(key->hash);
	unsigned char *value = bind_alloc_leaf(value_len);
	char *text = bind_alloc_leaf(key->len);

	memcpy(text, key->text, key->len);
	memset(value, (unsigned char)key->number, value_len);
	memcpy(value, &key->number, sizeof(key->number));
	value[value_len - 1] = (unsigned char)key->number;
	entry->hash = key->hash;
	entry->key_len = key->len;
	entry->value_len = value_len;
	bind_store(&entry->key, text);
	bind_store(&entry->value, value);
	bind_store(&entry->chain, *bucket);
	bind_store(bucket, entry);
	lru_list_push(shard, entry);
	if (++shard->count > shard->capacity)
		lru_evict(shard);
}

static void lru_access(const struct lru_key *key)
{
	struct lru_shard *shard = &lru_shards[key->hash >> 60];
	struct lru_entry *entry;

	pthread_mutex_lock(&shard->lock);
	for (entry = shard->buckets[key->hash & shard->mask]; entry; entry = entry->chain) {
		if (entry->hash == key->hash && entry->key_len == key->len &&
		    !memcmp(entry->key, key->text, key->len))
			break;
	}
	if (entry) {
		shard->hits++;
		lru_check(entry, key->number);
		if (entry->newer) {
			lru_list_remove(shard, entry);
			lru_list_push(shard, entry);
		}
	} else {
		shard->misses++;
		lru_insert(shard, key);
	}
	pthread_mutex_unlock(&shard->lock);
}

static void *lru_thread(void *arg)
{
	struct lru_thread *self = arg;
	uint64_t before = now_ns(), now;
	struct lru_key key;

	for (uint64_t i = 0; i < self->ops; i++) {
		lru_key_make(&key, lru_draw(&self->seed, self->key_bits));
		lru_access(&key);
		now = now_ns();
		latency_note(self->latency, now - before);
		before = now;
	}
	return NULL;
}

static void lru_init(uint64_t capacity)
{
	pthread_mutexattr_t spins;
	uint64_t buckets = 1;

	pthread_mutexattr_init(&spins);
	pthread_mutexattr_settype(&spins, PTHREAD_MUTEX_ADAPTIVE_NP);
	while (buckets < capacity / LRU_SHARDS)
		buckets *= 2;
	for (unsigned int s = 0; s < LRU_SHARDS; s++) {
		struct lru_shard *shard = &lru_shards[s];

		/* Go's mutex spins before it sleeps: so does this one. */
		pthread_mutex_init(&shard->lock, &spins);
		shard->mask = buckets - 1;
		shard->capacity = capacity / LRU_SHARDS;
		bind_store(&shard->buckets, bind_alloc_zeroed(buckets * sizeof(void *)));
	}
}

/* Every shard is full, and every list has what its shard counts. */
static void lru_end(void)
{
	for (unsigned int s = 0; s < LRU_SHARDS; s++) {
		struct lru_shard *shard = &lru_shards[s];
		struct lru_entry *entry, *older;
		uint64_t count = 0;

		for (entry = shard->newest; entry; entry = older) {
			uint64_t number;

			older = entry->older;
			memcpy(&number, entry->value, sizeof(number));
			lru_check(entry, number);
			lru_free(entry);
			count++;
		}
		if (count != shard->count || count != shard->capacity)
			fail("shard %u has %llu entries", s, (unsigned long long)count);
		bind_free(shard->buckets);
	}
}

void lru_run(void)
{
	uint64_t capacity = param_u64("capacity"), keys = param_u64("keys");
	uint64_t threads = param_u64("threads"), ops = param_u64("ops");
	uint64_t start, took, hits = 0, misses = 0;
	struct lru_thread thread[LRU_MAX_THREADS] = { 0 };
	struct latency *all = calloc(1, sizeof(*all));
	unsigned int key_bits = 0;
	struct lru_key key;

	if (!threads || threads > LRU_MAX_THREADS || ops < threads)
		fail("threads must be 1 to %d, ops no less", LRU_MAX_THREADS);
	while (key_bits < 32 && (2ull << key_bits) <= keys)
		key_bits++;
	if (capacity < LRU_SHARDS || keys < 2 * capacity || 1ull << key_bits != keys || !all)
		fail("keys must be a power of two up to 2^32, and twice the capacity");
	lru_init(capacity);
	/* Full, with the likely ones in front; more of them, for shards are not equal. */
	for (uint64_t i = 2 * capacity - 1; i > 0; i--) {
		lru_key_make(&key, i);
		lru_access(&key);
	}
	for (unsigned int s = 0; s < LRU_SHARDS; s++)
		lru_shards[s].hits = lru_shards[s].misses = 0;

	for (uint64_t t = 0; t < threads; t++) {
		thread[t].seed = 0x9e3779b97f4a7c15ull * (t + 1);
		thread[t].ops = ops / threads;
		thread[t].key_bits = key_bits;
		thread[t].latency = calloc(1, sizeof(*thread[t].latency));
		if (!thread[t].latency)
			fail("no memory for a histogram");
	}
	start = now_ns();
	for (uint64_t t = 1; t < threads; t++) {
		if (pthread_create(&thread[t].id, NULL, lru_thread, &thread[t]))
			fail("can't start a thread");
	}
	lru_thread(&thread[0]);
	for (uint64_t t = 1; t < threads; t++)
		pthread_join(thread[t].id, NULL);
	took = now_ns() - start;

	for (uint64_t t = 0; t < threads; t++) {
		latency_add(all, thread[t].latency);
		free(thread[t].latency);
	}
	for (unsigned int s = 0; s < LRU_SHARDS; s++) {
		hits += lru_shards[s].hits;
		misses += lru_shards[s].misses;
	}
	if (hits + misses != all->total)
		fail("%llu operations instead of %llu", (unsigned long long)(hits + misses),
		     (unsigned long long)all->total);
	lru_end();
	report("mops_per_s", all->total * 1e3 / took);
	report("hits_percent", 100.0 * hits / all->total);
	report("p999_us", latency_exceeded_ns(all, 1000) / 1e3);
	report("p9999_us", latency_exceeded_ns(all, 10000) / 1e3);
	report("max_us", all->max_ns / 1e3);
	free(all);
}
