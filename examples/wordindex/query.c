// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Answering a query on a view: segment by segment, walking the posting lists of its terms side by
 * side.  The answer is the set of documents that the view holds and that match.
 */
#include <stdio.h>
#include <string.h>

#include "wordindex.h"

TRI_TYPE(query_type, struct query, term);
TRI_TYPE(result_type, struct result, docs);

/* @terms: leaves, which the query keeps. */
struct query *query_new(enum query_kind kind, char *const *terms, uint32_t n)
{
	struct query *query = need(tri_alloc_typed(&query_type, 1));

	query->kind = kind;
	query->terms = n;
	query->hash = kind;
	for (uint32_t i = 0; i < n; i++) {
		tri_store(&query->term[i], terms[i]);
		query->hash = query->hash * 31 +
			      text_hash(terms[i], (uint32_t)strlen(terms[i]));
	}
	return query;
}

bool query_equal(const struct query *a, const struct query *b)
{
	if (a->hash != b->hash || a->kind != b->kind || a->terms != b->terms)
		return false;
	for (uint32_t i = 0; i < a->terms; i++)
		if (strcmp(a->term[i], b->term[i]))
			return false;
	return true;
}

/* As a person would write it.  Returns @buffer. */
const char *query_text(const struct query *query, char *buffer, size_t bytes)
{
	static const char *const join[] = { " AND ", " OR ", " " };
	const char *quote = query->kind == QUERY_PHRASE ? "\"" : "";
	size_t at = 0;

	for (uint32_t i = 0; i < query->terms && at < bytes; i++)
		at += (size_t)snprintf(buffer + at, bytes - at, "%s%s%s",
				       i ? join[query->kind] : quote, query->term[i],
				       i + 1 == query->terms ? quote : "");
	return buffer;
}

static void result_add(struct result *result, struct document *doc)
{
	if (result->count == result->capacity) {
		uint32_t capacity = result->capacity ? 2 * result->capacity : 8;
		struct document **docs = need(tri_alloc(capacity * sizeof(docs[0])));

		if (result->count)
			tri_move(docs, result->docs, result->count);
		tri_store(&result->docs, docs);
		result->capacity = capacity;
	}
	tri_store(&result->docs[result->count], doc);
	result->count++;
}

/* ---- any of the terms ----------------------------------------------------------------------- */

static void run_or(const struct view *view, struct cursor *cursor, uint32_t n,
		   struct result *result)
{
	for (;;) {
		struct document *least = NULL;

		for (uint32_t i = 0; i < n; i++)
			if (cursor[i].posting &&
			    (!least || cursor[i].posting->doc->serial < least->serial))
				least = cursor[i].posting->doc;
		if (!least)
			return;
		for (uint32_t i = 0; i < n; i++)
			if (cursor[i].posting && cursor[i].posting->doc == least)
				cursor_next(&cursor[i]);
		if (view_holds(view, least))
			result_add(result, least);
	}
}

/* ---- all of the terms, and phrases ---------------------------------------------------------- */

/* Move all cursors to the next document that they have in common, if they are not at one. */
static struct document *meet(struct cursor *cursor, uint32_t n)
{
	uint32_t agreed = 0;
	struct document *doc;

	if (!cursor[0].posting)
		return NULL;
	doc = cursor[0].posting->doc;
	for (uint32_t i = 0; agreed < n; i = (i + 1) % n) {
		cursor_seek(&cursor[i], doc->serial);
		if (!cursor[i].posting)
			return NULL;
		if (cursor[i].posting->doc == doc) {
			agreed++;
		} else {
			doc = cursor[i].posting->doc;
			agreed = 1;
		}
	}
	return doc;
}

/* Whether the terms at the cursors' common document stand one behind the other somewhere. */
static bool adjacent(const struct cursor *cursor, uint32_t n)
{
	struct positions at[QUERY_TERMS];
	uint32_t start, i;

	for (i = 0; i < n; i++) {
		positions_start(&at[i], cursor[i].posting->positions);
		if (!positions_next(&at[i]))
			return false;
	}
	for (;;) {
		start = at[0].value;
		for (i = 1; i < n; i++) {
			while (at[i].value < start + i)
				if (!positions_next(&at[i]))
					return false;
			if (at[i].value > start + i)
				break;
		}
		if (i == n)
			return true;
		/* Term i is not before at[i]: the phrase starts at at[i] - i, at the earliest. */
		start = at[i].value - i;
		while (at[0].value < start)
			if (!positions_next(&at[0]))
				return false;
	}
}

static void run_and(const struct view *view, struct cursor *cursor, uint32_t n, bool phrase,
		    struct result *result)
{
	struct document *doc;

	while ((doc = meet(cursor, n))) {
		if (view_holds(view, doc) && (!phrase || adjacent(cursor, n)))
			result_add(result, doc);
		cursor_next(&cursor[0]);
	}
}

struct result *query_run(const struct view *view, const struct query *query)
{
	struct result *result = need(tri_alloc_typed(&result_type, 1));
	struct cursor cursor[QUERY_TERMS];
	uint32_t length[QUERY_TERMS], hash[QUERY_TERMS];

	for (uint32_t i = 0; i < query->terms; i++) {
		length[i] = (uint32_t)strlen(query->term[i]);
		hash[i] = text_hash(query->term[i], length[i]);
	}
	for (uint32_t s = 0; s < view->segment_count; s++) {
		for (uint32_t i = 0; i < query->terms; i++)
			cursor_start(&cursor[i], segment_find(view->segments[s], query->term[i],
							      length[i], hash[i]));
		if (query->kind == QUERY_OR)
			run_or(view, cursor, query->terms, result);
		else
			run_and(view, cursor, query->terms, query->kind == QUERY_PHRASE, result);
	}
	return result;
}
