// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checking answers.
 *
 * An audit holds one view.  The threads that query join the audit: they answer their next queries
 * on that view instead of the current one, with the cache, while the index changes and the
 * collector runs.  When the audit has its answers, each is compared with a scan of the text of
 * every document in the view.  That scan does not use segments, postings and positions.  Nothing
 * needs to be locked or copied: the objects of the view stay because the audit holds the view.
 *
 * The texts' checksums tell a wrong answer from memory that was damaged.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wordindex.h"

#define ANSWERS 20u		/* in one audit */
#define COMPLAINTS_MAX 20u	/* lines about what is wrong; the figures count all of it */
#define LAST_SHARE 10u		/* one in ten answers is checked after documents were dropped */

struct audit {
	struct view *view;
	struct query *query[ANSWERS];
	struct result *result[ANSWERS];
	uint32_t wanted;
	uint32_t claimed;	/* atomic: places given to threads; beyond @wanted: none is left */
	uint32_t done;		/* atomic: places filled; release, pairs with close_audit() */
};

TRI_TYPE(audit_type, struct audit, view, query, result);

static struct audit *open_audit;	/* acquire; NULL: none */
static pthread_t thread;

/* ---- the naive scan ------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
	static uint32_t complaints;
	va_list args;

	if (__atomic_fetch_add(&complaints, 1, __ATOMIC_RELAXED) >= COMPLAINTS_MAX)
		return;
	fprintf(stderr, "%s: ", config->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

/* Whether the words from @first to @last stand side by side in the text. */
static bool contains(const struct document *doc, const struct query *query, uint32_t first,
		     uint32_t last)
{
	char needle[QUERY_TERMS * (WORD_MAX + 1) + 2];
	size_t n = 0;

	needle[n++] = ' ';
	for (uint32_t i = first; i <= last; i++) {
		size_t length = strlen(query->term[i]);

		memcpy(needle + n, query->term[i], length);
		n += length;
		needle[n++] = ' ';
	}
	return memmem(doc->text, doc->text_bytes, needle, n);
}

static bool matches(const struct document *doc, const struct query *query)
{
	if (query->kind == QUERY_PHRASE)
		return contains(doc, query, 0, query->terms - 1);
	for (uint32_t i = 0; i < query->terms; i++)
		if (contains(doc, query, i, i) == (query->kind == QUERY_OR))
			return query->kind == QUERY_OR;
	return query->kind == QUERY_AND;
}

static bool check_answer(const struct view *view, const struct query *query,
			 const struct result *result)
{
	uint8_t *answered = need(tri_alloc_leaf(view->slots));
	uint32_t wrong = 0, shown = 0;
	char text[512];

	query_text(query, text, sizeof(text));
	for (uint32_t i = 0; i < result->count; i++) {
		const struct document *doc = result->docs[i];

		if (doc->slot >= view->slots || !view_holds(view, doc) || answered[doc->slot]) {
			complain("wrong answer to %s in version %llu: document %u of %u is %s",
				 text, (unsigned long long)view->version, i, result->count,
				 doc->slot < view->slots && view_holds(view, doc) ?
					 "there twice" : "not in the index");
			wrong++;
			continue;
		}
		answered[doc->slot] = 1;
	}
	for (uint32_t slot = 0; slot < view->slots; slot++) {
		const struct document *doc = view_document(view, slot);

		if (!doc || matches(doc, query) == answered[slot])
			continue;
		if (shown++ < 3)
			complain("wrong answer to %s in version %llu: %s %s, serial %u",
				 text, (unsigned long long)view->version,
				 answered[slot] ? "does not match" : "is missing", doc->path,
				 doc->serial);
		wrong++;
	}
	return !wrong;
}

static void check_texts(const struct view *view)
{
	for (uint32_t slot = 0; slot < view->slots; slot++) {
		const struct document *doc = view_document(view, slot);

		if (!doc || (strlen(doc->text) == doc->text_bytes &&
			     text_checksum(doc->text, doc->text_bytes) == doc->checksum))
			continue;
		complain("the text of %s, serial %u, is damaged", doc->path, doc->serial);
		count(wrong, 1);
	}
}

static void check(const struct audit *audit, uint32_t n)
{
	check_texts(audit->view);
	for (uint32_t i = 0; i < n && !interrupted(); i++) {
		if (!check_answer(audit->view, audit->query[i], audit->result[i]))
			count(wrong, 1);
		count(checked, 1);
	}
}

/* ---- audits --------------------------------------------------------------------------------- */

static struct audit *audit_new(uint32_t wanted)
{
	struct audit *audit = need(tri_alloc_typed(&audit_type, 1));

	tri_store(&audit->view, index_view());
	audit->wanted = wanted;
	return audit;
}

/* Fill one place.  Returns false if there is none, or nothing to ask. */
static bool answer_one(struct audit *audit, uint64_t *random)
{
	struct query *query;
	uint32_t place;

	if (__atomic_load_n(&audit->claimed, __ATOMIC_RELAXED) >= audit->wanted)
		return false;
	query = workload_query(audit->view, random);
	if (!query)
		return false;
	place = __atomic_fetch_add(&audit->claimed, 1, __ATOMIC_RELAXED);
	if (place >= audit->wanted)
		return false;
	tri_store(&audit->query[place], query);
	tri_store(&audit->result[place], workload_answer(audit->view, query));
	__atomic_fetch_add(&audit->done, 1, __ATOMIC_RELEASE);
	return true;
}

/* Answer one query for the open audit, if there is one that wants it. */
bool audit_join(uint64_t *random)
{
	struct audit *audit = __atomic_load_n(&open_audit, __ATOMIC_ACQUIRE);

	return audit && answer_one(audit, random);
}

/* Give out no more places, and wait for those that were.  Returns how many. */
static uint32_t close_audit(struct audit *audit)
{
	uint32_t n = __atomic_fetch_add(&audit->claimed, audit->wanted, __ATOMIC_RELAXED);

	if (n > audit->wanted)
		n = audit->wanted;
	tri_store(&open_audit, NULL);
	while (__atomic_load_n(&audit->done, __ATOMIC_ACQUIRE) < n)
		sleep_ns(1000000);
	return n;
}

/* Check @answers on the current view, asking for them in this thread. */
void audit_now(unsigned int answers)
{
	uint64_t random = random_seed(config->seed, 2 + counted(checked));

	while (answers && !interrupted()) {
		uint32_t n = answers < ANSWERS ? answers : ANSWERS;
		struct audit *audit = audit_new(n);

		while (answer_one(audit, &random))
			;
		n = close_audit(audit);
		if (!n)
			return;
		check(audit, n);
		answers -= n;
	}
}

/*
 * Audits are spread over the run.  Each waits for its time, but not for answers beyond the end of
 * the run.
 */
static void *run_audits(void *unused)
{
	unsigned int answers = config->checks - config->checks / LAST_SHARE;
	unsigned int audits = (answers + ANSWERS - 1) / ANSWERS;
	uint64_t start_ns = now_ns(), run_ns = config->seconds * 1000000000ull;

	(void)unused;
	for (unsigned int i = 0; i < audits && !stopping(); i++) {
		struct audit *audit;
		uint32_t n = answers < ANSWERS ? answers : ANSWERS;

		while (now_ns() < start_ns + run_ns / (audits + 1) * (i + 1) && !stopping())
			sleep_ns(10000000);
		audit = audit_new(n);
		tri_store(&open_audit, audit);
		while (__atomic_load_n(&audit->done, __ATOMIC_ACQUIRE) < n && !stopping())
			sleep_ns(1000000);
		n = close_audit(audit);
		check(audit, n);
		answers -= n;
	}
	/* If the machine was too slow for all audits in time, the rest are made now. */
	audit_now(answers);
	return NULL;
}

void audit_start(void)
{
	thread = thread_start(run_audits, NULL);
}

/* The run is over: finish what is left, except the share of audit_now(). */
void audit_stop(void)
{
	wait_for(thread);
}
