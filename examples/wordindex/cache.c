// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The results of recent queries: a hash table for finding them, and a list in the order of their
 * last use for forgetting them.  A result is good for the version of the index that it is for; the
 * next one takes its place.
 */
#include "wordindex.h"

#define BUCKETS 4096u
#define ENTRIES_MAX 4096u
#define DOCS_MAX (256u << 10)	/* in all results, so that few large ones do not take the memory */

struct entry {
	struct entry *next;		/* in the bucket */
	struct entry *newer, *older;	/* in the list; a ring through cache->list */
	struct query *query;
	struct result *result;
	uint64_t version;
};

TRI_TYPE(entry_type, struct entry, next, newer, older, query, result);

struct cache {
	struct entry **buckets;
	struct entry *list;		/* no entry: ->older is the newest, ->newer the oldest */
	uint64_t docs;
	uint32_t entries;
};

TRI_TYPE(cache_type, struct cache, buckets, list);

static struct cache *cache;		/* under lock, from cache_init() on */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void cache_init(void)
{
	struct entry *list = need(tri_alloc_typed(&entry_type, 1));

	tri_store(&list->newer, list);
	tri_store(&list->older, list);
	tri_store(&cache, need(tri_alloc_typed(&cache_type, 1)));
	tri_store(&cache->buckets, need(tri_alloc(BUCKETS * sizeof(cache->buckets[0]))));
	tri_store(&cache->list, list);
}

static struct entry **bucket_of(const struct query *query)
{
	return &cache->buckets[query->hash % BUCKETS];
}

static struct entry *find(const struct query *query)
{
	struct entry *entry = *bucket_of(query);

	while (entry && !query_equal(entry->query, query))
		entry = entry->next;
	return entry;
}

static void unlink_entry(struct entry *entry)
{
	tri_store(&entry->newer->older, entry->older);
	tri_store(&entry->older->newer, entry->newer);
}

static void link_newest(struct entry *entry)
{
	struct entry *list = cache->list;

	tri_store(&entry->newer, list);
	tri_store(&entry->older, list->older);
	tri_store(&list->older->newer, entry);
	tri_store(&list->older, entry);
}

/*
 * A forgotten entry lets go of the others.  If a stale word on some stack keeps it, it would
 * otherwise keep its neighbours of that time, they theirs when they are forgotten, and so on: a
 * chain through all results there ever were.
 */
static void forget(struct entry *entry)
{
	struct entry **at = bucket_of(entry->query);

	while (*at != entry)
		at = &(*at)->next;
	tri_store(at, entry->next);
	unlink_entry(entry);
	tri_store(&entry->next, NULL);
	tri_store(&entry->newer, NULL);
	tri_store(&entry->older, NULL);
	cache->entries--;
	cache->docs -= entry->result->count;
}

/* The result for this version of the index, or NULL. */
struct result *cache_get(const struct query *query, uint64_t version)
{
	struct result *result = NULL;
	struct entry *entry;

	pthread_mutex_lock(&lock);
	entry = find(query);
	if (entry && entry->version == version) {
		result = entry->result;
		unlink_entry(entry);
		link_newest(entry);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

/* Keep @result, unless there is one for a later version. */
void cache_put(struct query *query, struct result *result, uint64_t version)
{
	struct entry *entry, *fresh = need(tri_alloc_typed(&entry_type, 1));

	tri_store(&fresh->query, query);
	tri_store(&fresh->result, result);
	fresh->version = version;

	pthread_mutex_lock(&lock);
	entry = find(query);
	if (!entry || entry->version < version) {
		if (entry)
			forget(entry);
		tri_store(&fresh->next, *bucket_of(query));
		tri_store(bucket_of(query), fresh);
		link_newest(fresh);
		cache->entries++;
		cache->docs += result->count;
		while (cache->entries > ENTRIES_MAX || cache->docs > DOCS_MAX)
			forget(cache->list->newer);
	}
	pthread_mutex_unlock(&lock);
}

void cache_clear(void)
{
	pthread_mutex_lock(&lock);
	while (cache->entries)
		forget(cache->list->newer);
	pthread_mutex_unlock(&lock);
}
