// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Merging segments, so that a query has few of them to look at, and so that what they hold of
 * replaced and dropped documents becomes garbage.
 *
 * Segments fall into tiers by the text of the documents in them that live, each tier four times
 * the one below.  Four segments of a tier make one of the next; a segment of which a third is dead
 * is written again alone.  The merged lists share the leaves with the positions with the old ones.
 */
#include "wordindex.h"

#define TIER_BYTES (64u << 10)	/* text in the lowest tier, at most */
#define TIERS 16u

static unsigned int tier_of(uint64_t bytes)
{
	unsigned int tier = 0;

	for (; bytes > TIER_BYTES && tier < TIERS - 1; tier++)
		bytes /= 4;
	return tier;
}

static uint64_t live_bytes(const struct view *view, const struct segment *segment)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < segment->doc_count; i++)
		if (view_holds(view, segment->docs[i]))
			bytes += segment->docs[i]->text_bytes;
	return bytes;
}

/*
 * Choose segments to merge.  The lowest tier that is full goes first, because it costs least.
 * Called with the index lock held.  Returns how many are in @in; 0 if nothing needs a merge.
 */
uint32_t merge_pick(const struct view *view, struct segment *in[MERGE_WIDTH])
{
	struct segment *member[TIERS][MERGE_WIDTH], *sparse = NULL;
	uint32_t members[TIERS] = { 0 };

	for (uint32_t i = 0; i < view->segment_count; i++) {
		struct segment *segment = view->segments[i];
		uint64_t live;
		unsigned int tier;

		if (segment->merging)
			continue;
		live = live_bytes(view, segment);
		tier = tier_of(live);
		if (3 * live < 2 * segment->text_bytes)
			sparse = segment;
		if (members[tier] < MERGE_WIDTH)
			member[tier][members[tier]++] = segment;
	}
	for (unsigned int tier = 0; tier < TIERS; tier++) {
		if (members[tier] < MERGE_WIDTH)
			continue;
		for (uint32_t i = 0; i < MERGE_WIDTH; i++)
			in[i] = member[tier][i];
		return MERGE_WIDTH;
	}
	in[0] = sparse;
	return sparse ? 1 : 0;
}

/* The list of @like's text in all of @in becomes one in @out, without what @view does not hold. */
static void merge_term(const struct view *view, struct segment **in, uint32_t n,
		       const struct term *like, struct segment *out)
{
	struct cursor cursor[MERGE_WIDTH];
	struct term *term = NULL;

	for (uint32_t i = 0; i < n; i++)
		cursor_start(&cursor[i],
			     segment_find(in[i], like->text, like->length, like->hash));
	for (;;) {
		struct cursor *least = NULL;
		const struct posting *posting;

		for (uint32_t i = 0; i < n; i++)
			if (cursor[i].posting &&
			    (!least ||
			     cursor[i].posting->doc->serial < least->posting->doc->serial))
				least = &cursor[i];
		if (!least)
			return;
		posting = least->posting;
		if (view_holds(view, posting->doc)) {
			if (!term)
				term = segment_add_term(out, like->text, like->length, like->hash);
			segment_add_posting(out, term, posting->doc, posting->positions);
		}
		cursor_next(least);
	}
}

/* A segment with what @view holds of the documents of @in; NULL if it holds none. */
struct segment *merge_segments(const struct view *view, struct segment **in, uint32_t n)
{
	struct segment *out;
	uint32_t most = 0;

	for (uint32_t i = 0; i < n; i++)
		if (in[i]->terms > most)
			most = in[i]->terms;
	out = segment_new(most);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t d = 0; d < in[i]->doc_count; d++)
			if (view_holds(view, in[i]->docs[d]))
				segment_add_document(out, in[i]->docs[d]);
	if (!out->doc_count)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t b = 0; b < in[i]->bucket_count; b++)
			for (struct term *t = in[i]->buckets[b]; t; t = t->next)
				/* One of an earlier segment may have brought it. */
				if (!segment_find(out, t->text, t->length, t->hash))
					merge_term(view, in, n, t, out);
	return out;
}
