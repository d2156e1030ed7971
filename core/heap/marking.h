/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marking.h - the scanning kernel, shared by the collector's workers and by assisting mutators
 *
 *  1. A word that points below the limit goes into a batch, without a branch.
 *  2. When the batch is full: one read of the page map says what kind of span each pointer leads
 *     into, and arithmetic gives the object's mark bit.  The mark words are prefetched, and tested
 *     when the next batch has been looked up.
 *  3. An object that was white is marked.  A leaf ends here.  Otherwise the object's span (objects
 *     of up to 512 B, one page) is queued, once: while it waits, more of its objects get marked.
 *     Larger objects are queued one by one.
 *  4. When a span is taken from its queue, those of its objects are claimed that are marked and not
 *     yet scanned: who sets an object's scanned bit scans it.  They are prefetched, and scanned in
 *     a visit.
 *  5. A pointer from an object of the visited span to another one there goes no such way: that one
 *     is marked and scanned in the same visit, and the bitmaps learn of it when the visit ends.
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

#include <string.h>

#include "sizeclass.h"
#include "span.h"

#define TRI_BATCH 32			/* pointers that are worth looking up together */
/*
 * The last object added may bring 64 words more than a full batch less one, and vectors are stored
 * whole.
 */
#define TRI_BATCH_ROOM (TRI_BATCH + 64 + 8)
#define TRI_LINE 64			/* bytes of a cache line */

/* One thread's state of marking, without its queues.  Owner: that thread. */
struct tri_marking {
	const struct tri_view *v;
	tri_au64 (*marks)[TRI_MARK_WORDS];
	uint64_t heap_va, limit;	/* client address of page 0; bytes that are looked at */
	uint64_t objects, marked_bytes, scan_bytes;
	uint64_t *found;		/* nfound heap offsets, below the limit */
	uint64_t *edge;			/* nedges of the batch before: see tri_edge() */
	uint32_t nfound, nedges;
	bool vector;			/* the CPU has what marking_avx512.h needs */
	uint64_t room[2][TRI_BATCH_ROOM];	/* found and edge, in turn */
};

/* A span that was taken from a queue, while its objects are prefetched. */
struct tri_visit {
	const struct tri_class *class;
	uint32_t page;
	uint32_t objects;		/* how many were claimed: bits of todo when the span was
					 * taken */
	uint64_t todo[TRI_MARK_WORDS];	/* to be scanned */
};

/* The state of a visit while it lasts. */
struct tri_here {
	struct tri_visit *visit;
	const struct tri_class *class;
	tri_au64 *marks;
	uint64_t base;			/* heap offset of the span */
	unsigned int words;		/* bit i: visit->todo[i] is not 0 */
	unsigned int follow;		/* the word that last led to a new object of the span;
					 * 64: none */
	bool down;			/* that object was at a lower address */
	uint64_t mine[TRI_MARK_WORDS];	/* marked in this visit, and not in the bitmaps yet */
};

static void marking_queue_span(struct tri_marking *k, uint32_t page);
static void marking_queue_object(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				 uint32_t index);

/*
 * An edge is a mark that is to be tested: that of object @index in the span at @page, which has
 * @span_class.
 */
static inline uint64_t tri_edge(uint32_t page, uint32_t index, uint32_t span_class)
{
	return (uint64_t)page << 32 | index << 8 | span_class;
}

static inline uint32_t tri_edge_page(uint64_t edge)
{
	return (uint32_t)(edge >> 32);
}

static inline uint32_t tri_edge_index(uint64_t edge)
{
	return (uint32_t)edge >> 8;
}

/* Written out, because the compiler makes a call where it may not assume the instruction. */
static inline unsigned int tri_popcount(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (unsigned int)(x * 0x0101010101010101 >> 56);
}

static bool tri_marking_can_vector(void);

/* Begin with @cycle's bitmap. */
static inline void tri_marking_init(struct tri_marking *k, const struct tri_view *v, uint32_t cycle)
{
	uint64_t top = tri_read(&v->ctl->top_pages);

	k->v = v;
	k->marks = v->marks[cycle & 1];
	k->heap_va = v->heap_va;
	/* What is allocated above this limit from now on is black. */
	k->limit = (top < v->heap_pages ? top : v->heap_pages) << TRI_PAGE_SHIFT;
	k->objects = k->marked_bytes = k->scan_bytes = 0;
	k->found = k->room[0];
	k->edge = k->room[1];
	k->nfound = k->nedges = 0;
	k->vector = tri_marking_can_vector();
}

/* Objects of the span at @page have just been marked: @bits, of which bit 0 is object @first. */
static inline void tri_marking_grey(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				    uint32_t first, uint64_t bits)
{
	tri_au8 *queued = &k->v->queued[page];
	unsigned int n = bits & (bits - 1) ? tri_popcount(bits) : 1;

	k->objects += n;
	if (__builtin_expect(c->pages == 1, 1)) {
		k->marked_bytes += (uint64_t)n * c->size;
		/*
		 * The marks are set by a full barrier before this is read, so either the span is
		 * queued again, or who takes it out sees them: pairs with tri_marking_take().
		 */
		if (c->kind != TRI__LEAF && !tri_read(queued) && !atomic_exchange(queued, 1))
			marking_queue_span(k, page);
		return;
	}
	k->marked_bytes += c->large ? (uint64_t)tri_large_pages(k->v, page) << TRI_PAGE_SHIFT :
				      (uint64_t)n * c->size;
	if (c->kind == TRI__LEAF)
		return;
	for (; bits; bits &= bits - 1)
		marking_queue_object(k, c, page, first + (uint32_t)__builtin_ctzll(bits));
}

/* Test and set the marks of the previous batch. */
static inline void tri_marking_test(struct tri_marking *k)
{
	uint64_t *edge = k->edge;
	uint32_t i, n = k->nedges, white = 0;

	/* Nobody can predict whether an object is white: no branch depends on it. */
	for (i = 0; i < n; i++) {
		uint64_t e = edge[i];
		uint32_t index = tri_edge_index(e);

		edge[white] = e;
		white += ~tri_read(&k->marks[tri_edge_page(e)][index / 64]) >> (index & 63) & 1;
	}
	k->nedges = 0;
	for (i = 0; i < white;) {
		uint64_t e = edge[i], bits = 0;
		uint32_t page = tri_edge_page(e), index = tri_edge_index(e);

		/*
		 * Siblings often lie side by side: one atomic instruction sets all marks of one
		 * word.
		 */
		do
			bits |= 1ull << (tri_edge_index(edge[i]) & 63);
		while (++i < white && !((edge[i] ^ e) & ~tri_edge(0, 63, 0)));
		bits &= ~atomic_fetch_or(&k->marks[page][index / 64], bits);
		if (bits)
			tri_marking_grey(k, &tri_classes[e & 0xff], page, index & ~63u, bits);
	}
}

/* Look up the objects of a batch of pointers, and test the marks of the previous batch. */
static __attribute__((noinline)) void tri_marking_batch(struct tri_marking *k)
{
	const struct tri_view *v = k->v;
	uint64_t *found = k->found;
	uint32_t i, n = k->nfound, nedges = 0;

	/* The edges overwrite the pointers that have been looked up. */
	for (i = 0; i < n; i++) {
		uint64_t offset = found[i];
		uint32_t page = (uint32_t)(offset >> TRI_PAGE_SHIFT), index;
		uint32_t span_class = tri_read(&v->page_map[page]);
		const struct tri_class *c = &tri_classes[span_class];

		if (__builtin_expect(c->pages == 1, 1)) {
			index = tri_object_index(c, (uint32_t)offset & (TRI_PAGE_BYTES - 1));
			found[nedges] = tri_edge(page, index, span_class);
			/*
			 * A pointer behind the last object leads to no object, and gives no edge.
			 */
			nedges += index < c->objects;
		} else {
			struct tri_object o;

			/*
			 * Reads the span class again: a client that changes it meanwhile fools
			 * itself.
			 */
			if (!tri_resolve(v, offset, &o))
				continue;
			page = o.page;
			index = o.index;
			found[nedges++] = tri_edge(page, index, (uint32_t)(o.class - tri_classes));
		}
		__builtin_prefetch((const void *)&k->marks[page][index / 64], 1);
	}
	tri_marking_test(k);
	k->found = k->edge;
	k->nfound = 0;
	k->edge = found;
	k->nedges = nedges;
}

/* Look up and mark all pointers that were found. */
static inline void tri_marking_flush(struct tri_marking *k)
{
	if (k->nfound)
		tri_marking_batch(k);
	tri_marking_test(k);
}

/* Scan every word of [@offset, @offset + @bytes). */
static inline void tri_marking_words_scalar(struct tri_marking *k, uint64_t offset, uint64_t bytes)
{
	const volatile uint64_t *p = (const volatile uint64_t *)(k->v->heap + offset);
	const volatile uint64_t *end = p + bytes / 8, *stop;
	uint64_t va = k->heap_va, limit = k->limit;

	while (p < end) {
		uint64_t *found = k->found;
		uint32_t n = k->nfound;

		for (stop = end - p > 64 ? p + 64 : end; p < stop; p++) {
			uint64_t to = *p - va;

			found[n] = to;
			n += to < limit;
		}
		k->nfound = n;
		if (n >= TRI_BATCH)
			tri_marking_batch(k);
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
		uint32_t found = k->nfound;

		if (n > end - bit)
			n = end - bit;
		bits = tri_read(&map[bit / 64]) >> (bit & 63);
		if (n < 64)
			bits &= (1ull << n) - 1;
		for (; bits; bits &= bits - 1) {
			uint64_t to = p[__builtin_ctzll(bits)] - k->heap_va;

			k->found[found] = to;
			found += to < k->limit;
		}
		k->nfound = found;
		if (found >= TRI_BATCH)
			tri_marking_batch(k);
		p += n;
		bit += n;
	}
}

/*
 * Prefetch the objects @todo, each cache line once.  @p is the first of 64 objects.  Always inline:
 * GCC drops a call to a function that does nothing but prefetch.
 */
static inline __attribute__((always_inline))
void tri_marking_fetch(const char *p, uint64_t todo, unsigned int size)
{
	if (size == 16) {
		todo |= todo >> 1;
		todo = (todo | todo >> 2) & 0x1111111111111111;
	} else if (size == 32) {
		todo = (todo | todo >> 1) & 0x5555555555555555;
	}
	for (; todo; todo &= todo - 1) {
		const char *at = p + (unsigned int)__builtin_ctzll(todo) * size, *end = at + size;

		for (; at < end; at += TRI_LINE)
			__builtin_prefetch(at);
	}
}

/* Take the span at @page out of its queue and claim what is new in it.  False if nothing is. */
static inline bool tri_marking_take(struct tri_marking *k, uint32_t page, struct tri_visit *visit)
{
	const struct tri_class *c = &tri_classes[tri_read(&k->v->page_map[page])];
	const char *base = k->v->heap + ((uint64_t)page << TRI_PAGE_SHIFT);
	unsigned int i, words = (c->objects + 63u) / 64;

	/*
	 * From here on a mark in this span queues it again.  A full barrier, before the marks are
	 * read: pairs with tri_marking_grey().
	 */
	atomic_exchange(&k->v->queued[page], 0);
	if (__builtin_expect(c->pages != 1, 0))
		return false;
	visit->class = c;
	visit->page = page;
	visit->objects = 0;
	for (i = 0; i < words; i++) {
		uint64_t todo = tri_read(&k->marks[page][i]) & ~tri_read(&k->v->scanned[page][i]) &
				tri_objects_mask(c->objects, i);

		if (todo) {
			todo &= ~atomic_fetch_or(&k->v->scanned[page][i], todo);
			visit->objects += tri_popcount(todo);
			tri_marking_fetch(base + i * 64 * c->size, todo, c->size);
		}
		visit->todo[i] = todo;
	}
	if (visit->objects && c->kind == TRI__TYPED) {
		__builtin_prefetch((const void *)k->v->ptrmap[page]);
		__builtin_prefetch((const void *)&k->v->ptrmap[page][TRI_PTRMAP_WORDS / 2]);
	}
	return visit->objects != 0;
}

static inline __attribute__((always_inline))
void tri_marking_enter(struct tri_marking *k, struct tri_here *h, struct tri_visit *visit)
{
	unsigned int i, words = (visit->class->objects + 63u) / 64;

	h->visit = visit;
	h->class = visit->class;
	h->marks = k->marks[visit->page];
	h->base = (uint64_t)visit->page << TRI_PAGE_SHIFT;
	h->words = 0;
	h->follow = 64;
	h->down = false;
	for (i = 0; i < words; i++)
		h->words |= (visit->todo[i] != 0) << i;
	/*
	 * All of it is cleared: for a length that is not constant, the compiler makes a slow string
	 * instruction.
	 */
	memset(h->mine, 0, sizeof(h->mine));
	k->scan_bytes += (uint64_t)visit->objects * h->class->size;
}

/*
 * The next object of a visit.  It lies in the direction in which the last pointer inside the span
 * led: the program probably allocated in that order, and memory is read in order too.
 */
static inline __attribute__((always_inline)) unsigned int tri_marking_next(struct tri_here *h)
{
	uint64_t *todo = h->visit->todo;
	unsigned int w, bit;

	if (h->down) {
		w = 31 - (unsigned int)__builtin_clz(h->words);
		bit = 63 - (unsigned int)__builtin_clzll(todo[w]);
	} else {
		w = (unsigned int)__builtin_ctz(h->words);
		bit = (unsigned int)__builtin_ctzll(todo[w]);
	}
	todo[w] &= ~(1ull << bit);
	h->words &= ~((unsigned int)!todo[w] << w);
	return w * 64 + bit;
}

/* Object @from holds a pointer to byte @to of its own span.  True: that object is new. */
static inline __attribute__((always_inline))
bool tri_marking_inside(struct tri_here *h, unsigned int from, uint64_t to)
{
	unsigned int index = tri_object_index(h->class, (uint32_t)to), w = index / 64;
	uint64_t bit = 1ull << (index & 63);

	if (index >= h->class->objects || (tri_read(&h->marks[w]) | h->mine[w]) & bit)
		return false;
	h->mine[w] |= bit;
	h->visit->todo[w] |= bit;
	h->words |= 1u << w;
	h->down = index < from;
	return true;
}

/*
 * Publish what this visit has marked.  Another thread that met such an object meanwhile took it for
 * white, marked it and queued the span.  So `scanned` is set first: then that thread finds nothing
 * to scan.  If it was faster, the object is scanned twice, which is harmless, and counted once.
 */
static inline __attribute__((always_inline))
void tri_marking_leave(struct tri_marking *k, struct tri_here *h)
{
	unsigned int i, words = (h->class->objects + 63u) / 64, n;

	for (i = 0; i < words; i++) {
		uint64_t mine = h->mine[i];

		if (!mine)
			continue;
		atomic_fetch_or(&k->v->scanned[h->visit->page][i], mine);
		n = tri_popcount(mine & ~atomic_fetch_or(&h->marks[i], mine));
		k->objects += n;
		k->marked_bytes += (uint64_t)n * h->class->size;
		k->scan_bytes += (uint64_t)tri_popcount(mine) * h->class->size;
	}
}

static inline __attribute__((always_inline)) void
tri_marking_examine(struct tri_marking *k, struct tri_here *h, unsigned int index, uint64_t word)
{
	uint64_t to = word - k->heap_va;

	if (to - h->base < TRI_PAGE_BYTES) {
		tri_marking_inside(h, index, to - h->base);
		return;
	}
	k->found[k->nfound] = to;
	k->nfound += to < k->limit;
}

/* Scan object @index, of @n words at @p. */
static inline __attribute__((always_inline))
void tri_marking_object(struct tri_marking *k, struct tri_here *h, unsigned int index,
			const volatile uint64_t *p, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		tri_marking_examine(k, h, index, p[i]);
}

/* The same for the words in @bits. */
static inline __attribute__((always_inline))
void tri_marking_object_typed(struct tri_marking *k, struct tri_here *h, unsigned int index,
			      const volatile uint64_t *p, uint64_t bits)
{
	for (; bits; bits &= bits - 1)
		tri_marking_examine(k, h, index, p[__builtin_ctzll(bits)]);
}

/*
 * Which of the @n words from word @at of the page on hold pointers.  The words are those of one
 * object, which does not cross the end of the page.
 */
static inline uint64_t tri_marking_pointers(tri_au64 *map, unsigned int at, unsigned int n)
{
	uint64_t bits = tri_read(&map[at / 64]) >> (at & 63);

	if ((at & 63) + n > 64)
		bits |= tri_read(&map[at / 64 + 1]) << (64 - (at & 63));
	return n == 64 ? bits : bits & ((1ull << n) - 1);
}

static inline const uint64_t *tri_marking_span(const struct tri_marking *k, uint32_t page)
{
	return (const uint64_t *)(k->v->heap + ((uint64_t)page << TRI_PAGE_SHIFT));
}

/* Scan what @visit has claimed, and what that leads to in the same span. */
static inline void tri_marking_visit_scalar(struct tri_marking *k, struct tri_visit *visit)
{
	unsigned int n = visit->class->size / 8;
	const uint64_t *span = tri_marking_span(k, visit->page);
	tri_au64 *map = k->v->ptrmap[visit->page];
	struct tri_here h;

	tri_marking_enter(k, &h, visit);
	while (h.words) {
		unsigned int index = tri_marking_next(&h), at = index * n;

		if (h.class->kind == TRI__TYPED)
			tri_marking_object_typed(k, &h, index, span + at,
						 tri_marking_pointers(map, at, n));
		else
			tri_marking_object(k, &h, index, span + at, n);
		if (k->nfound >= TRI_BATCH)
			tri_marking_batch(k);
	}
	tri_marking_leave(k, &h);
}

#ifdef __x86_64__
#include "marking_avx512.h"
#else
static bool tri_marking_can_vector(void)
{
	return false;
}

#define tri_marking_visit_avx512 tri_marking_visit_scalar
#define tri_marking_words_avx512 tri_marking_words_scalar
#endif

static inline void tri_marking_visit(struct tri_marking *k, struct tri_visit *visit)
{
	if (k->vector)
		tri_marking_visit_avx512(k, visit);
	else
		tri_marking_visit_scalar(k, visit);
}

static inline void tri_marking_scan_words(struct tri_marking *k, uint64_t offset, uint64_t bytes)
{
	if (k->vector)
		tri_marking_words_avx512(k, offset, bytes);
	else
		tri_marking_words_scalar(k, offset, bytes);
}

/* Take the span at @page out of its queue and scan what is new in it. */
static inline void tri_marking_scan_span(struct tri_marking *k, uint32_t page)
{
	struct tri_visit visit;

	if (tri_marking_take(k, page, &visit))
		tri_marking_visit(k, &visit);
}

#endif
