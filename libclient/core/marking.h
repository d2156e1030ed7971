/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marking.h - the scanning kernel, shared by the collector's workers and by assisting mutators
 *
 *  1. A pointer is found.  One page-map byte says what kind of span it leads into; arithmetic gives
 *     the object's mark bit.  The mark word is prefetched, and the edge put into a ring.
 *  2. When the ring has come round, the edge's bit is tested and set.  A leaf ends here.  Otherwise
 *     the object's span (objects of up to 512 B, one page) is queued, once: while it waits, more of
 *     its objects get marked.  Larger objects are queued one by one.
 *  3. A span that is taken from a queue has all its objects scanned that are marked and not yet
 *     scanned, in address order.  Who sets an object's scanned bit scans it.
 *
 * Nothing that is read here is trusted: page numbers come from offsets below `limit`, which is at
 * most the heap's size, and every number read from the arena is bounded before it is used.
 *
 * To be included once in a source file that defines the two queues:
 *	static void marking_queue_span(struct tri_marking *k, uint32_t page);
 *	static void marking_queue_object(struct tri_marking *k, const struct tri_class *c,
 *					 uint32_t page, uint32_t index);
 */
#ifndef TRI_CORE_MARKING_H
#define TRI_CORE_MARKING_H

#include "core/sizeclass.h"
#include "core/span.h"

#define TRI_RING 16			/* edges between discovery and test; a power of two */

/* A pointer found, its mark word on the way into the cache. */
struct tri_edge {
	tri_au64 *word;
	uint64_t bit;
	uint32_t page;			/* first of the span */
	uint32_t index;
	uint32_t byte;			/* page byte */
};

/* One thread's share of marking, but for its queues.  Owner: that thread. */
struct tri_marking {
	const struct tri_view *v;
	tri_au64 (*marks)[TRI_MARK_WORDS];
	uint64_t heap_va, limit;	/* client address of page 0; bytes that are looked at */
	struct tri_edge ring[TRI_RING];	/* FIFO: head - tail edges */
	uint32_t head, tail;
	uint64_t objects, marked_bytes, scan_bytes;
};

static void marking_queue_span(struct tri_marking *k, uint32_t page);
static void marking_queue_object(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				 uint32_t index);

/* Begin with @cycle's bitmap. */
static inline void tri_marking_init(struct tri_marking *k, const struct tri_view *v, uint32_t cycle)
{
	uint64_t top = tri_read(&v->ctl->top_pages);

	k->v = v;
	k->marks = v->marks[cycle & 1];
	k->heap_va = v->heap_va;
	/* What is allocated above from now on is black. */
	k->limit = (top < v->heap_pages ? top : v->heap_pages) << TRI_PAGE_SHIFT;
	k->head = k->tail = 0;
	k->objects = k->marked_bytes = k->scan_bytes = 0;
}

/* The object at @page, @index has just been marked. */
static inline void tri_marking_grey(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				    uint32_t index)
{
	tri_au8 *queued = &k->v->queued[page];

	k->objects++;
	if (__builtin_expect(c->pages == 1, 1)) {
		k->marked_bytes += c->size;
		/* The mark is set before this is read: pairs with tri_marking_scan_span(). */
		if (c->kind != TRI__LEAF && !tri_read(queued) && !atomic_exchange(queued, 1))
			marking_queue_span(k, page);
		return;
	}
	k->marked_bytes += c->large ? (uint64_t)tri_large_pages(k->v, page) << TRI_PAGE_SHIFT : c->size;
	if (c->kind != TRI__LEAF)
		marking_queue_object(k, c, page, index);
}

static inline void tri_marking_test(struct tri_marking *k, const struct tri_edge *e)
{
	if (tri_read(e->word) & e->bit)
		return;
	if (!(atomic_fetch_or(e->word, e->bit) & e->bit))
		tri_marking_grey(k, &tri_classes[e->byte], e->page, e->index);
}

/* A pointer to @offset, which is below the limit. */
static inline void tri_marking_found(struct tri_marking *k, uint64_t offset)
{
	uint32_t page = (uint32_t)(offset >> TRI_PAGE_SHIFT), index;
	uint32_t byte = tri_read(&k->v->page_map[page]);
	const struct tri_class *c = &tri_classes[byte];
	struct tri_edge *e = &k->ring[k->head & (TRI_RING - 1)];

	if (__builtin_expect(c->pages == 1, 1)) {
		index = tri_object_index(c, (uint32_t)offset & (TRI_PAGE_BYTES - 1));
		if (__builtin_expect(index >= c->objects, 0))
			return;
	} else {
		struct tri_object o;

		if (!tri_resolve(k->v, offset, &o))
			return;
		/* Read again in tri_resolve(): a client that changes it meanwhile fools itself. */
		byte = (uint32_t)(o.class - tri_classes);
		page = o.page;
		index = o.index;
	}
	/* Full: the edge that @e overwrites is the oldest. */
	if (__builtin_expect(k->head - k->tail == TRI_RING, 1)) {
		k->tail++;
		tri_marking_test(k, e);
	}
	e->word = &k->marks[page][index / 64];
	e->bit = 1ull << (index & 63);
	e->page = page;
	e->index = index;
	e->byte = byte;
	__builtin_prefetch((void *)e->word, 1);
	k->head++;
}

/* Test the edges that are still in the ring. */
static inline void tri_marking_flush(struct tri_marking *k)
{
	while (k->tail != k->head)
		tri_marking_test(k, &k->ring[k->tail++ & (TRI_RING - 1)]);
}

/* Scan every word of [@offset, @offset + @bytes). */
static inline void tri_marking_scan_words(struct tri_marking *k, uint64_t offset, uint64_t bytes)
{
	const volatile uint64_t *p = (const volatile uint64_t *)(k->v->heap + offset);
	const volatile uint64_t *end = p + bytes / 8;
	uint64_t va = k->heap_va, limit = k->limit;

	for (; p < end; p++) {
		uint64_t to = *p - va;

		if (to < limit)
			tri_marking_found(k, to);
	}
}

/* Scan the words that the pointer map names. */
static inline void tri_marking_scan_typed(struct tri_marking *k, uint64_t offset, uint64_t bytes)
{
	const volatile uint64_t *p = (const volatile uint64_t *)(k->v->heap + offset);
	tri_au64 *map = &k->v->ptrmap[0][0];
	uint64_t bit = offset / 8, end = bit + bytes / 8;

	while (bit < end) {
		uint64_t n = 64 - (bit & 63), bits;

		if (n > end - bit)
			n = end - bit;
		bits = tri_read(&map[bit / 64]) >> (bit & 63);
		if (n < 64)
			bits &= (1ull << n) - 1;
		for (; bits; bits &= bits - 1) {
			uint64_t to = p[__builtin_ctzll(bits)] - k->heap_va;

			if (to < k->limit)
				tri_marking_found(k, to);
		}
		p += n;
		bit += n;
	}
}

/* Take the span at @page out of its queue and scan what is new in it. */
static inline void tri_marking_scan_span(struct tri_marking *k, uint32_t page)
{
	const struct tri_class *c = &tri_classes[tri_read(&k->v->page_map[page])];
	uint64_t base = (uint64_t)page << TRI_PAGE_SHIFT;
	unsigned int i, words = (c->objects + 63u) / 64;

	/* From here on a mark in this span queues it again: pairs with tri_marking_grey(). */
	atomic_exchange(&k->v->queued[page], 0);
	if (__builtin_expect(c->pages != 1, 0))
		return;
	for (i = 0; i < words; i++) {
		uint64_t todo = tri_read(&k->marks[page][i]) & ~tri_read(&k->v->scanned[page][i]) &
				tri_objects_mask(c->objects, i), ahead;

		if (!todo)
			continue;
		todo &= ~atomic_fetch_or(&k->v->scanned[page][i], todo);
		for (ahead = todo; ahead; ahead &= ahead - 1)
			__builtin_prefetch(k->v->heap + base +
					   (i * 64 + (unsigned int)__builtin_ctzll(ahead)) * c->size);
		k->scan_bytes += (uint64_t)__builtin_popcountll(todo) * c->size;
		for (; todo; todo &= todo - 1) {
			uint64_t offset = base + (i * 64 + (uint64_t)__builtin_ctzll(todo)) * c->size;

			if (c->kind == TRI__TYPED)
				tri_marking_scan_typed(k, offset, c->size);
			else
				tri_marking_scan_words(k, offset, c->size);
		}
	}
}

#endif
