// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store.c - entries by key and by last use
 *
 * The store is cut into shards by the hash of the key, into fewer if values are large.  Each has a
 * lock, a table of chains, a list of its entries from the newest use to the oldest, and a part of
 * the memory.  The tables have their final size from the start, made for entries of ENTRY_BYTES: no
 * request pays for a rehash.
 *
 * An entry that leaves the store loses its links.  So if a stale word on some stack keeps it alive,
 * it does not keep a chain of others alive.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "kvcache.h"

#define SHARDS_MAX	64u
#define SHARD_VALUES	4u	/* the largest values that a shard's part of the memory has room
				 * for */
#define ENTRY_BYTES	256u	/* the tables have a bucket for as many bytes */
#define BUCKETS_MIN	64u

/* All of it is under @lock.  A global, so a root. */
struct shard {
	pthread_mutex_t lock;
	struct entry **buckets;
	struct entry *newest;
	struct entry *oldest;
	uint64_t bytes;
	uint32_t hand;		/* the bucket that store_reap() looks at next */
	struct store_figures figures;
};

static struct shard shards[SHARDS_MAX];
static uint32_t shard_count;	/* a power of two */
static uint64_t shard_bytes;
static uint32_t bucket_count;	/* in each shard; a power of two */
static uint64_t seed;		/* so that nobody can choose keys that all fall into one bucket */

int store_init(uint64_t bytes)
{
	struct entry **buckets;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	for (shard_count = SHARDS_MAX; shard_count > 1;) {
		if (bytes / shard_count / SHARD_VALUES >= config->value_bytes_max)
			break;
		shard_count /= 2;
	}
	shard_bytes = bytes / shard_count;
	for (bucket_count = BUCKETS_MIN; bucket_count < shard_bytes / ENTRY_BYTES;)
		bucket_count *= 2;
	for (unsigned int i = 0; i < shard_count; i++) {
		pthread_mutex_init(&shards[i].lock, NULL);
		buckets = tri_alloc(bucket_count * sizeof(*buckets));
		if (!buckets)
			return -ENOMEM;
		tri_store(&shards[i].buckets, buckets);
	}
	return 0;
}

static uint64_t mix(uint64_t hash)
{
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static uint64_t hash_key(const char *key, size_t length)
{
	uint64_t hash = seed ^ length, word;

	for (; length >= sizeof(word); key += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, key, sizeof(word));
		hash = mix(hash ^ word);
	}
	word = 0;
	memcpy(&word, key, length);
	return mix(hash ^ word);
}

static struct shard *shard_lock(uint64_t hash)
{
	struct shard *shard = &shards[hash & (shard_count - 1)];

	pthread_mutex_lock(&shard->lock);
	return shard;
}

static struct entry **bucket_of(struct shard *shard, uint64_t hash)
{
	return &shard->buckets[hash / SHARDS_MAX & (bucket_count - 1)];
}

/*
 * ---- the list by last use ---------------------------------------------------------------------
 */

static void list_add(struct shard *shard, struct entry *entry)
{
	tri_store(&entry->older, shard->newest);
	if (shard->newest)
		tri_store(&shard->newest->newer, entry);
	else
		tri_store(&shard->oldest, entry);
	tri_store(&shard->newest, entry);
}

static void list_remove(struct shard *shard, struct entry *entry)
{
	if (entry->newer)
		tri_store(&entry->newer->older, entry->older);
	else
		tri_store(&shard->newest, entry->older);
	if (entry->older)
		tri_store(&entry->older->newer, entry->newer);
	else
		tri_store(&shard->oldest, entry->newer);
	tri_store(&entry->newer, NULL);
	tri_store(&entry->older, NULL);
}

/*
 * ---- chains -----------------------------------------------------------------------------------
 */

/* The link that points at the entry of that key, or the last link of the chain, which is NULL. */
static struct entry **find(struct shard *shard, uint64_t hash, const char *key, size_t length)
{
	struct entry **at = bucket_of(shard, hash);

	for (; *at; at = &(*at)->chain)
		if ((*at)->hash == hash && (*at)->key_length == length &&
		    !memcmp(entry_key(*at), key, length))
			break;
	return at;
}

/* Remove the entry that @at points at. */
static void drop(struct shard *shard, struct entry **at)
{
	struct entry *entry = *at;

	tri_store(at, entry->chain);
	tri_store(&entry->chain, NULL);
	list_remove(shard, entry);
	shard->bytes -= entry->bytes;
	shard->figures.items--;
}

static void drop_oldest(struct shard *shard)
{
	struct entry *oldest = shard->oldest, **at = bucket_of(shard, oldest->hash);

	while (*at != oldest)
		at = &(*at)->chain;
	drop(shard, at);
	shard->figures.evicted++;
}

static bool has_expired(const struct entry *entry)
{
	return entry->expires && entry->expires <= now_seconds();
}

/*
 * ---- requests ---------------------------------------------------------------------------------
 */

void store_put(struct entry *entry)
{
	const char *key = entry_key(entry);
	uint64_t hash = hash_key(key, entry->key_length);
	struct shard *shard = shard_lock(hash);
	struct entry **at = find(shard, hash, key, entry->key_length);

	if (*at)
		drop(shard, at);
	entry->hash = hash;
	at = bucket_of(shard, hash);
	tri_store(&entry->chain, *at);
	tri_store(at, entry);
	list_add(shard, entry);
	shard->bytes += entry->bytes;
	shard->figures.items++;
	shard->figures.sets++;
	while (shard->bytes > shard_bytes)
		drop_oldest(shard);
	pthread_mutex_unlock(&shard->lock);
}

bool store_get(const char *key, size_t key_length, struct text *text)
{
	uint64_t hash = hash_key(key, key_length);
	struct shard *shard = shard_lock(hash);
	struct entry **at = find(shard, hash, key, key_length), *entry = *at;

	if (entry && has_expired(entry)) {
		drop(shard, at);
		shard->figures.expired++;
		entry = NULL;
	}
	if (entry) {
		*text = (struct text){ entry->text, entry->text_length };
		if (shard->newest != entry) {
			list_remove(shard, entry);
			list_add(shard, entry);
		}
		shard->figures.hits++;
	} else {
		shard->figures.misses++;
	}
	pthread_mutex_unlock(&shard->lock);
	return entry;
}

bool store_delete(const char *key, size_t key_length)
{
	uint64_t hash = hash_key(key, key_length);
	struct shard *shard = shard_lock(hash);
	struct entry **at = find(shard, hash, key, key_length);
	bool found = *at && !has_expired(*at);

	if (*at)
		drop(shard, at);
	if (found)
		shard->figures.deletes++;
	pthread_mutex_unlock(&shard->lock);
	return found;
}

/*
 * ---- by the main thread, and under pressure ---------------------------------------------------
 */

static void reap_bucket(struct shard *shard, struct entry **at)
{
	while (*at) {
		if (!has_expired(*at)) {
			at = &(*at)->chain;
			continue;
		}
		drop(shard, at);
		shard->figures.expired++;
	}
}

void store_reap(void)
{
	for (unsigned int i = 0; i < shard_count; i++) {
		struct shard *shard = shard_lock(i);

		for (uint32_t n = 0; n < bucket_count / REAP_ROUND; n++) {
			reap_bucket(shard, &shard->buckets[shard->hand]);
			shard->hand = (shard->hand + 1) & (bucket_count - 1);
		}
		pthread_mutex_unlock(&shard->lock);
	}
}

void store_shed(void)
{
	for (unsigned int i = 0; i < shard_count; i++) {
		struct shard *shard = shard_lock(i);
		uint64_t stay = shard->figures.items - shard->figures.items / 10;

		while (shard->figures.items > stay)
			drop_oldest(shard);
		pthread_mutex_unlock(&shard->lock);
	}
}

void store_read(struct store_figures *figures)
{
	memset(figures, 0, sizeof(*figures));
	for (unsigned int i = 0; i < shard_count; i++) {
		struct shard *shard = shard_lock(i);

		figures->items += shard->figures.items;
		figures->bytes += shard->bytes;
		figures->hits += shard->figures.hits;
		figures->misses += shard->figures.misses;
		figures->sets += shard->figures.sets;
		figures->deletes += shard->figures.deletes;
		figures->evicted += shard->figures.evicted;
		figures->expired += shard->figures.expired;
		pthread_mutex_unlock(&shard->lock);
	}
}
