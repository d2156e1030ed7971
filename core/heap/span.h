/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * span.h - from a pointer to its object, and sweeping, for both sides
 *
 * Every function takes page numbers that its caller has checked against view->heap_pages, and gives
 * only such page numbers back, whatever the shared memory says.
 */
#ifndef TRI_CORE_SPAN_H
#define TRI_CORE_SPAN_H

#include "pages.h"
#include "sizeclass.h"

struct tri_object {
	const struct tri_class *class;
	uint32_t page;			/* first of the span */
	uint32_t index;			/* of the object in the span; 0 for a large one */
};

/**
 * The object that byte @offset of the heap lies in.
 * @offset: below heap_pages · 8 KiB.  Returns false if there is none.
 */
static inline bool tri_resolve(const struct tri_view *v, uint64_t offset, struct tri_object *o)
{
	uint32_t page = (uint32_t)(offset >> TRI_PAGE_SHIFT);
	unsigned int span_class = tri_read_acquire(&v->page_map[page]);
	const struct tri_class *c = &tri_classes[span_class];
	uint32_t first = page;

	if (c->pages != 1) {
		if (!c->size && !c->large)
			return false;
		first = tri_read(&v->span_of[page]);
		if (!first || first > page)
			return false;
		if (c->large) {
			o->class = c;
			o->page = first;
			o->index = 0;
			return true;
		}
		/*
		 * The whole span lies in the heap, so who reads the object does not leave the heap.
		 */
		if (page - first >= c->pages || first + c->pages > v->heap_pages)
			return false;
	}
	o->class = c;
	o->page = first;
	o->index = tri_object_index(c, (uint32_t)(offset - ((uint64_t)first << TRI_PAGE_SHIFT)));
	return o->index < c->objects;
}

static inline bool tri_bit(tri_au64 (*map)[TRI_MARK_WORDS], uint32_t page, uint32_t index)
{
	return tri_read(&map[page][index / 64]) >> (index & 63) & 1;
}

/**
 * How many pages the large object that begins at @page has, within the heap; 0 if the table is
 * inconsistent.
 */
static inline uint32_t tri_large_pages(const struct tri_view *v, uint32_t page)
{
	uint32_t pages = tri_read(&v->spans[page].pages);

	return pages <= v->heap_pages - page ? pages : 0;
}

/** The bytes of an object of class @c in the span that begins at @page; 0 as tri_large_pages(). */
static inline uint64_t tri_slot_bytes(const struct tri_view *v, const struct tri_class *c,
				      uint32_t page)
{
	return c->large ? (uint64_t)tri_large_pages(v, page) << TRI_PAGE_SHIFT : c->size;
}

/** Bits of word @w of a span of @objects objects that stand for an object. */
static inline uint64_t tri_objects_mask(unsigned int objects, unsigned int w)
{
	if (objects >= (w + 1) * 64)
		return ~0ull;
	return objects <= w * 64 ? 0 : (1ull << (objects - w * 64)) - 1;
}

/**
 * Sweep the span at @page after @cycle: count what it marked, and clear the other bitmap and the
 * scanned bits for the next.  The caller has claimed the span.  May be repeated.
 * Returns the number of live objects.
 */
static inline unsigned int tri_span_sweep(const struct tri_view *v, uint32_t page,
					  unsigned int objects, uint32_t cycle)
{
	tri_au64 *live = v->marks[cycle & 1][page];
	tri_au64 *next = v->marks[~cycle & 1][page];
	tri_au64 *scanned = v->scanned[page];
	unsigned int w, words = (objects + 63) / 64, n = 0;

	for (w = 0; w < words; w++) {
		n += (unsigned int)__builtin_popcountll(tri_read(&live[w]) &
							tri_objects_mask(objects, w));
		tri_write(&next[w], 0);
		tri_write(&scanned[w], 0);
	}
	return n;
}

/**
 * Give the pages of a claimed span back to the page heap.  @pages is the caller's own number.
 * Until the span classes are gone the pages are still `used`, so that nobody takes them half-freed.
 */
static inline void tri_span_free(const struct tri_view *v, uint32_t page, uint32_t pages)
{
	uint32_t i;

	for (i = 0; i < pages; i++)
		tri_write(&v->page_map[page + i], 0);
	tri_write_release(&v->spans[page].state, 0);
	tri_pages_release(v, page, pages);
}

/** Fill the free slots of a swept span with 0xdb (TRICOLOR_DEBUG=clobberfree). */
void tri_span_clobber(const struct tri_view *v, uint32_t page, const struct tri_class *c,
		      uint32_t cycle);

#endif
