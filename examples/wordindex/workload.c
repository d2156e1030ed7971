// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The load on the index: threads that query it, and one that has documents indexed again, dropped,
 * and brought back.
 *
 * Queries are made of words that occur: a document is chosen, and words of it.  Six of ten come
 * from a pool of popular ones, of which the first are the most popular, so that the cache of
 * results has something to do.
 */
#include <string.h>

#include "wordindex.h"

#define POPULAR 512u
#define TRIES 2000u		/* for a slot that is in use */
#define TICK_NS 20000000u
#define DROPPED_MAX 4096u	/* slots that are without their document at a time */

/* An object and no array of roots: see struct index. */
struct popular {
	struct query *query[POPULAR];	/* loads are acquire, as index_view()'s */
};

TRI_TYPE(popular_type, struct popular, query);

static struct popular *popular;
static uint32_t slots;			/* of the table that were ever used */
static pthread_t *thread;		/* leaf: config->threads that query, and the updater */

/* ---- making queries ------------------------------------------------------------------------- */

static struct document *random_document(const struct view *view, uint64_t *random)
{
	for (uint32_t i = 0; i < TRIES && slots; i++) {
		struct document *doc = view_document(view, random_below(random, slots));

		if (doc)
			return doc;
	}
	return NULL;
}

/* The start of a word somewhere in the text. */
static const char *random_word(const struct document *doc, uint64_t *random)
{
	const char *blank = strchr(doc->text + random_below(random, doc->text_bytes), ' ');

	return blank[1] ? blank + 1 : doc->text + 1;
}

static char *copy_word(const char *word)
{
	return need(tri_strndup(word, (size_t)(strchr(word, ' ') - word)));
}

static struct query *make_query(const struct view *view, uint64_t *random)
{
	enum query_kind kind = random_below(random, 3);
	uint32_t n = 2 + random_below(random, QUERY_TERMS - 1);
	struct document *doc = random_document(view, random);
	char *term[QUERY_TERMS];
	const char *word;
	uint32_t i = 0;

	if (!doc)
		return NULL;
	word = random_word(doc, random);
	while (i < n && word && *word) {
		term[i++] = copy_word(word);
		if (kind == QUERY_PHRASE) {
			word = strchr(word, ' ') + 1;
		} else {
			if (kind == QUERY_OR)
				doc = random_document(view, random);
			word = doc ? random_word(doc, random) : NULL;
		}
	}
	return query_new(kind, term, i);
}

/* A new query, or a popular one; NULL if the view has hardly a document. */
struct query *workload_query(const struct view *view, uint64_t *random)
{
	/* The product of two uniform numbers favours the small. */
	uint32_t rank = random_below(random, 1 + random_below(random, POPULAR));
	struct query *known = __atomic_load_n(&popular->query[rank], __ATOMIC_ACQUIRE), *query;
	bool fashion = random_below(random, 16) == 0;

	if (known && !fashion && random_below(random, 10) < 6)
		return known;
	query = make_query(view, random);
	if (query && (fashion || !known))
		tri_store(&popular->query[rank], query);
	return query;
}

/* The answer for this view, from the cache or by running the query. */
struct result *workload_answer(const struct view *view, struct query *query)
{
	struct result *result = cache_get(query, view->version);

	if (result) {
		count(cache_hits, 1);
	} else {
		result = query_run(view, query);
		cache_put(query, result, view->version);
	}
	count(queries, 1);
	count(matches, result->count);
	return result;
}

/* ---- the threads ---------------------------------------------------------------------------- */

static void *ask(void *number)
{
	uint64_t random = random_seed(config->seed, 16 + (uintptr_t)number);

	while (!stopping()) {
		struct query *query;
		struct view *view;

		if (audit_join(&random))
			continue;
		view = index_view();
		query = workload_query(view, &random);
		if (query)
			workload_answer(view, query);
		else
			sleep_ns(1000000);
	}
	return NULL;
}

/* One in four updates drops a document, or brings back the one that was dropped longest ago. */
static void *update(void *unused)
{
	uint64_t random = random_seed(config->seed, 1), start_ns = now_ns(), requested = 0;
	uint32_t *dropped = need(tri_alloc_leaf(DROPPED_MAX * sizeof(dropped[0])));
	uint32_t first = 0, n = 0, most = slots / 16 < DROPPED_MAX ? slots / 16 : DROPPED_MAX;

	(void)unused;
	while (!stopping()) {
		uint64_t due = (now_ns() - start_ns) / 1000000u * config->updates / 1000u;

		for (; requested < due && !stopping(); requested++) {
			struct document *doc = random_document(index_view(), &random);
			bool churn = random_below(&random, 4) == 0;

			if (n && (!doc || (churn && n >= most))) {
				indexer_request(dropped[first], false);
				first = (first + 1) % DROPPED_MAX;
				n--;
			} else if (doc && churn && n < most) {
				dropped[(first + n++) % DROPPED_MAX] = doc->slot;
				indexer_request(doc->slot, true);
			} else if (doc) {
				indexer_request(doc->slot, false);
			}
		}
		sleep_ns(TICK_NS);
	}
	return NULL;
}

/* Start the threads; the first @slot_count slots of the table are in use. */
void workload_start(uint32_t slot_count)
{
	slots = slot_count;
	tri_store(&popular, need(tri_alloc_typed(&popular_type, 1)));
	tri_store(&thread, need(tri_alloc_leaf((config->threads + 1) * sizeof(thread[0]))));
	for (unsigned int i = 0; i < config->threads; i++)
		thread[i] = thread_start(ask, (void *)(uintptr_t)i);
	thread[config->threads] = thread_start(update, NULL);
}

/* Wait for the threads to see that the run is over; forget what they asked. */
void workload_stop(void)
{
	for (unsigned int i = 0; i <= config->threads; i++)
		wait_for(thread[i]);
	tri_clear(popular->query, POPULAR);
}
