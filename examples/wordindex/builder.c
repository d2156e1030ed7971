// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Turning documents into a segment.
 *
 * The words of a document are noted as they come: each occurrence is a pair of the word's position
 * and the index of the same term's previous occurrence, so that the occurrences of one term form a
 * chain through the array.  At the end of the document each chain becomes one posting, its
 * positions encoded into a leaf of exactly the right size.
 */
#include <string.h>

#include "wordindex.h"

TRI_TYPE(builder_type, struct builder, segment, touched, occurrence, raw, doc);

#define VARINT_MAX 5		/* bytes of an encoded uint32_t */

struct builder *builder_new(void)
{
	struct builder *builder = need(tri_alloc_typed(&builder_type, 1));

	/* Room for a byte in front and a blank behind, see files.c. */
	tri_store(&builder->raw, need(tri_alloc_leaf(FILE_MAX + 2)));
	return builder;
}

/* ---- positions ------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *to, uint32_t value)
{
	while (value >= 128) {
		*to++ = (uint8_t)(value | 128);
		value >>= 7;
	}
	*to++ = (uint8_t)value;
	return to;
}

static const uint8_t *get(const uint8_t *from, uint32_t *value)
{
	uint32_t v = 0;
	unsigned int shift = 0;

	do {
		v |= (uint32_t)(*from & 127) << shift;
		shift += 7;
	} while (*from++ & 128);
	*value = v;
	return from;
}

/* Before the first position. */
void positions_start(struct positions *positions, const uint8_t *encoded)
{
	positions->byte = get(encoded, &positions->left);
	positions->value = 0;
}

/* To the next position.  Returns false if there is none. */
bool positions_next(struct positions *positions)
{
	uint32_t step;

	if (!positions->left)
		return false;
	positions->left--;
	positions->byte = get(positions->byte, &step);
	positions->value += step;
	return true;
}

/*
 * The chain that ends at @newest, as a leaf.  The chain runs backwards: it is turned round on the
 * way in, with the differences written to @scratch, which has room for all words of the document.
 */
static uint8_t *encode(const uint32_t *occurrence, uint32_t newest, uint32_t *scratch)
{
	uint8_t on_stack[64 * VARINT_MAX], *encoded, *leaf, *end;
	uint32_t n = 0, before = 0;

	for (uint32_t i = newest; i; i = occurrence[2 * i + 1])
		scratch[n++] = occurrence[2 * i];
	/*
	 * The array on the stack is enough for nine in ten; the others take a leaf, which becomes
	 * garbage.
	 */
	encoded = n < 64 ? on_stack : need(tri_alloc_leaf((n + 1) * VARINT_MAX));
	end = put(encoded, n);
	while (n) {
		end = put(end, scratch[--n] - before);
		before = scratch[n];
	}
	leaf = need(tri_alloc_leaf((size_t)(end - encoded)));
	return memcpy(leaf, encoded, (size_t)(end - encoded));
}

/* ---- documents ------------------------------------------------------------------------------ */

/* Room for @words occurrences, numbered from 1, and as many words of scratch behind them. */
static void make_room(struct builder *builder, uint32_t words)
{
	uint32_t capacity = builder->occurrence_capacity ? builder->occurrence_capacity : 1024;

	if (words <= builder->occurrence_capacity)
		return;
	while (capacity < words)
		capacity *= 2;
	tri_store(&builder->occurrence,
		  need(tri_alloc_leaf((3 * (size_t)capacity + 2) * sizeof(uint32_t))));
	tri_store(&builder->touched, need(tri_alloc(capacity * sizeof(struct term *))));
	builder->occurrence_capacity = capacity;
}

static void change(struct builder *builder, uint32_t slot, struct document *doc)
{
	tri_store(&builder->doc[builder->changes], doc);
	builder->slot[builder->changes] = slot;
	builder->changes++;
}

/* Add @doc, in place of what its slot holds.  The builder is not full. */
void builder_index(struct builder *builder, struct document *doc)
{
	uint32_t words = 0, touched = 0, *occurrence, *scratch;
	const char *word = doc->text + 1, *end;
	struct segment *segment;

	if (!builder->segment)
		tri_store(&builder->segment, segment_new(1024));
	segment = builder->segment;
	make_room(builder, doc->words);
	occurrence = builder->occurrence;
	scratch = occurrence + 2 * (builder->occurrence_capacity + 1);
	/* Serials rise within a segment only if they are given out in the order of indexing. */
	doc->serial = index_next_serial();

	for (; *word; word = end + 1) {
		uint32_t length, hash;
		struct term *term;

		end = strchr(word, ' ');
		length = (uint32_t)(end - word);
		hash = text_hash(word, length);
		term = segment_find(segment, word, length, hash);
		if (!term)
			term = segment_add_term(segment, need(tri_strndup(word, length)), length,
						hash);
		if (!term->newest)
			tri_store(&builder->touched[touched++], term);
		occurrence[2 * (words + 1)] = words;
		occurrence[2 * (words + 1) + 1] = term->newest;
		term->newest = ++words;
	}
	for (uint32_t i = 0; i < touched; i++) {
		struct term *term = builder->touched[i];

		segment_add_posting(segment, term, doc, encode(occurrence, term->newest, scratch));
		term->newest = 0;
	}
	/* The scratch of the next segment must not keep terms of this one. */
	tri_clear(builder->touched, touched);
	segment_add_document(segment, doc);
	change(builder, doc->slot, doc);
}

/* Drop what @slot holds.  The builder is not full. */
void builder_drop(struct builder *builder, uint32_t slot)
{
	change(builder, slot, NULL);
}

bool builder_full(const struct builder *builder)
{
	return builder->changes == BATCH_CHANGES ||
	       (builder->segment && builder->segment->text_bytes >= BATCH_BYTES);
}

/* Publish the changes, and be empty again. */
void builder_commit(struct builder *builder)
{
	index_commit(builder->segment, builder->doc, builder->slot, builder->changes);
	tri_store(&builder->segment, NULL);
	tri_clear(builder->doc, builder->changes);
	builder->changes = 0;
}
