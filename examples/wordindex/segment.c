// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A segment: a hash table of terms, and for each term the list of its postings, sorted by the
 * documents' serial numbers.  Written by one thread while it is built, read by any afterwards.
 */
#include <string.h>

#include "wordindex.h"

TRI_TYPE(segment_type, struct segment, buckets, docs);
TRI_TYPE(term_type, struct term, next, text, head, tail, first);
TRI_TYPE(posting_block_type, struct posting_block, next, slot);

_Static_assert(sizeof(struct posting) == 2 * sizeof(void *), "all of a posting is pointers");
_Static_assert(sizeof(struct posting_block) == 128, "a block fills its size class");

/* FNV-1a. */
uint32_t text_hash(const char *text, uint32_t length)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return hash;
}

/* @buckets: a guess, rounded up to a power of two. */
struct segment *segment_new(uint32_t buckets)
{
	struct segment *segment = need(tri_alloc_typed(&segment_type, 1));
	uint32_t n = 64;

	while (n < buckets)
		n *= 2;
	tri_store(&segment->buckets, need(tri_alloc(n * sizeof(segment->buckets[0]))));
	segment->bucket_count = n;
	return segment;
}

struct term *segment_find(const struct segment *segment, const char *text, uint32_t length,
			  uint32_t hash)
{
	struct term *term = segment->buckets[hash & (segment->bucket_count - 1)];

	while (term && (term->hash != hash || term->length != length ||
			memcmp(term->text, text, length)))
		term = term->next;
	return term;
}

static void grow(struct segment *segment)
{
	uint32_t n = 2 * segment->bucket_count;
	struct term **buckets = need(tri_alloc(n * sizeof(buckets[0])));

	for (uint32_t i = 0; i < segment->bucket_count; i++) {
		struct term *next;

		for (struct term *term = segment->buckets[i]; term; term = next) {
			struct term **bucket = &buckets[term->hash & (n - 1)];

			next = term->next;
			tri_store(&term->next, *bucket);
			tri_store(bucket, term);
		}
	}
	tri_store(&segment->buckets, buckets);
	segment->bucket_count = n;
}

/* @text: a leaf, which the term keeps; not in the segment yet. */
struct term *segment_add_term(struct segment *segment, char *text, uint32_t length, uint32_t hash)
{
	struct term *term = need(tri_alloc_typed(&term_type, 1));
	struct term **bucket;

	if (segment->terms == segment->bucket_count)
		grow(segment);
	bucket = &segment->buckets[hash & (segment->bucket_count - 1)];
	tri_store(&term->text, text);
	term->hash = hash;
	term->length = length;
	tri_store(&term->next, *bucket);
	tri_store(bucket, term);
	segment->terms++;
	return term;
}

void segment_add_document(struct segment *segment, struct document *doc)
{
	if (segment->doc_count == segment->doc_capacity) {
		uint32_t capacity = segment->doc_capacity ? 2 * segment->doc_capacity : 16;
		struct document **docs = need(tri_alloc(capacity * sizeof(docs[0])));

		if (segment->doc_count)
			tri_move(docs, segment->docs, segment->doc_count);
		tri_store(&segment->docs, docs);
		segment->doc_capacity = capacity;
	}
	tri_store(&segment->docs[segment->doc_count], doc);
	segment->doc_count++;
	segment->text_bytes += doc->text_bytes;
}

/* @doc's serial is above those that the term has.  @positions: a leaf, which the posting keeps. */
void segment_add_posting(struct segment *segment, struct term *term, struct document *doc,
			 uint8_t *positions)
{
	struct posting_block *tail = term->tail;
	struct posting *posting;

	if (!term->postings) {
		posting = &term->first;
	} else {
		if (!tail || tail->used == BLOCK_POSTINGS) {
			struct posting_block *block = need(tri_alloc_typed(&posting_block_type, 1));

			if (tail)
				tri_store(&tail->next, block);
			else
				tri_store(&term->head, block);
			tri_store(&term->tail, block);
			tail = block;
		}
		posting = &tail->slot[tail->used++];
		tail->last = doc->serial;
	}
	tri_store(&posting->doc, doc);
	tri_store(&posting->positions, positions);
	term->postings++;
	segment->postings++;
}

/* ---- reading a list ------------------------------------------------------------------------- */

/* @term NULL: an empty list. */
void cursor_start(struct cursor *cursor, const struct term *term)
{
	cursor->term = term;
	cursor->block = NULL;
	cursor->at = 0;
	cursor->posting = term ? &term->first : NULL;
}

static void enter(struct cursor *cursor, const struct posting_block *block)
{
	cursor->block = block;
	cursor->at = 0;
	cursor->posting = block ? &block->slot[0] : NULL;
}

/* To the next posting; there is a current one. */
void cursor_next(struct cursor *cursor)
{
	if (!cursor->block)
		enter(cursor, cursor->term->head);
	else if (++cursor->at == cursor->block->used)
		enter(cursor, cursor->block->next);
	else
		cursor->posting = &cursor->block->slot[cursor->at];
}

/* To the first posting, from the current one on, whose document's serial is at least @serial. */
void cursor_seek(struct cursor *cursor, uint32_t serial)
{
	while (cursor->posting && cursor->posting->doc->serial < serial) {
		if (cursor->block && cursor->block->last < serial)
			enter(cursor, cursor->block->next);
		else
			cursor_next(cursor);
	}
}
