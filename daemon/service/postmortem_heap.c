// SPDX-License-Identifier: GPL-2.0-only
/*
 * postmortem_heap.c - what the tables of a heap say after its program has ended
 *
 * The arena's tables are read with pread(), a few at a time, into memory of our own.  So reading
 * cannot fault, whatever becomes of the file, and it fills no holes.  What the tables say is
 * counted and never followed.
 *
 * Objects that threads have taken in advance, up to 64 of a size and kind each, count as objects.
 */
#include "postmortem_heap.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/heap/layout.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"
#include "core/system/clock.h"
#include "daemon/heap/backing.h"

#define STEP TRI_CHUNK_PAGES		/* pages whose tables are read at a time */

/* Tables of STEP pages. */
struct step {
	uint8_t map[STEP];
	uint32_t span_of[STEP];
	struct tri_span spans[STEP];
	uint64_t used[STEP / 64], backed[STEP / 64];
	uint64_t marks[2][STEP][TRI_MARK_WORDS];
};

static bool read_part(int fd, void *to, size_t bytes, uint64_t at)
{
	return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

static bool has_spans(const struct step *s)
{
	size_t i;

	for (i = 0; i < STEP && !s->map[i]; i++)
		;
	return i < STEP;
}

static bool read_step(int fd, const struct tri_layout *l, uint64_t page, struct step *s)
{
	unsigned int m;

	if (!read_part(fd, s->map, sizeof(s->map), l->page_map + page) ||
	    !read_part(fd, s->used, sizeof(s->used), l->used + page / 8) ||
	    !read_part(fd, s->backed, sizeof(s->backed), l->backed + page / 8))
		return false;
	if (!has_spans(s))
		return true;
	if (!read_part(fd, s->span_of, sizeof(s->span_of), l->span_of + page * sizeof(uint32_t)) ||
	    !read_part(fd, s->spans, sizeof(s->spans), l->spans + page * sizeof(struct tri_span)))
		return false;
	for (m = 0; m < 2; m++)
		if (!read_part(fd, s->marks[m], sizeof(s->marks[m]),
			       l->marks[m] + page * TRI_MARK_WORDS * 8))
			return false;
	return true;
}

static void note_large(struct postmortem_heap *h, uint64_t bytes)
{
	size_t i;

	h->large_objects++;
	h->large_bytes += bytes;
	for (i = POSTMORTEM_LARGEST; i && h->largest[i - 1] < bytes; i--)
		if (i < POSTMORTEM_LARGEST)
			h->largest[i] = h->largest[i - 1];
	if (i < POSTMORTEM_LARGEST)
		h->largest[i] = bytes;
}

/* Count the span that begins at page @at of @s.  Returns its pages; 1 if it can't be right. */
static uint64_t count_span(struct postmortem_heap *h, const struct step *s, uint64_t at,
			   uint64_t pages_left)
{
	const struct tri_class *c = &tri_classes[s->map[at]];
	const struct tri_span *span = &s->spans[at];
	uint64_t state = tri_read(&span->state), pages = tri_read(&span->pages), most, objects = 0;
	/* The number of its last sweep says which of both bitmaps has its objects. */
	const uint64_t *bits = s->marks[TRI_STATE_CYCLE(state) & 1][at];
	unsigned int w;

	if (c->large) {
		most = pages << TRI_PAGE_SHIFT;
		if (!pages || pages > pages_left)
			return 1;
		h->classes[s->map[at]].spans++;
		if (bits[0] & 1)
			note_large(h, span->bytes < most ? span->bytes : most);
		return pages;
	}
	for (w = 0; w < TRI_MARK_WORDS; w++)
		objects +=
			(uint64_t)__builtin_popcountll(bits[w] & tri_objects_mask(c->objects, w));
	h->classes[s->map[at]].spans++;
	h->classes[s->map[at]].objects += objects;
	return c->pages;
}

/*
 * Count the spans that begin in the STEP pages from @page on.  Returns the page after the last of
 * them.
 */
static uint64_t count_spans(struct postmortem_heap *h, const struct step *s, uint64_t page,
			    uint64_t from, uint64_t end)
{
	while (from < page + STEP && from < end) {
		uint64_t at = from - page;
		const struct tri_class *c = &tri_classes[s->map[at]];

		if ((!c->size && !c->large) || (c->pages != 1 && s->span_of[at] != from))
			from++;
		else
			from += count_span(h, s, at, end - from);
	}
	return from;
}

static void count_pages(struct postmortem_heap *h, const struct step *s)
{
	size_t w;

	for (w = 0; w < STEP / 64; w++) {
		h->used_pages += (uint64_t)__builtin_popcountll(s->used[w]);
		h->free_backed_pages += (uint64_t)__builtin_popcountll(s->backed[w] & ~s->used[w]);
	}
}

static void read_tables(struct postmortem_heap *h, int fd, const struct tri_layout *l,
			uint64_t until_ns, const atomic_bool *stop)
{
	struct step *s = malloc(sizeof(*s));
	uint64_t page, next = 1;

	for (page = 0; s && page < h->top_pages; page += STEP) {
		if (atomic_load(stop) || clock_ns() > until_ns || !read_step(fd, l, page, s))
			break;
		next = count_spans(h, s, page, next, h->top_pages);
		/* Page 0 is never used, but marked as used. */
		if (!page)
			s->used[0] &= ~1ull;
		count_pages(h, s);
		h->read_pages = page + STEP < h->top_pages ? page + STEP : h->top_pages;
	}
	free(s);
}

/* Read the header, and check it as when the client came.  False: there is nothing to read. */
static bool read_header(struct postmortem_heap *h, int fd, struct tri_layout *l)
{
	struct tri_ctl ctl;
	const char *why;
	uint64_t bytes;

	if (backing_check(fd, &h->is_device, &bytes, &why) ||
	    !read_part(fd, &ctl, sizeof(ctl), 0) || ctl.magic != TRI_MAGIC ||
	    tri_layout_init(l, ctl.heap_pages) || bytes != l->file_bytes)
		return false;
	if (tri_read(&ctl.leaving))
		return false;
	h->top_pages = tri_read(&ctl.top_pages);
	if (h->top_pages > l->heap_pages)
		h->top_pages = l->heap_pages;
	return true;
}

bool postmortem_read_heap(struct postmortem_heap *h, int fd, uint64_t until_ns,
			  const atomic_bool *stop)
{
	struct tri_layout layout;

	if (!read_header(h, fd, &layout))
		return false;
	if (!h->is_device)
		read_tables(h, fd, &layout, until_ns, stop);
	return true;
}
