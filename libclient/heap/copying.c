// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * copying.c - a forked child's own copy of the parent's heap
 *
 * The child has the parent's arena mapped shared, and may only read it.  It makes an arena of its
 * own of the same size, fills it, and maps it over the parent's, so that every pointer stays
 * valid:
 *
 *  1. tri_copy_tables() copies what is allocated, while the parent holds the locks of all its
 *     caches, lists and pages.  Nobody stops the collector, which may be sweeping meanwhile.  It
 *     takes no allocation bit back, and frees only spans that have none.  So the bits say all that
 *     matters, whatever else a table shows.  The child's own memory has the caches of other
 *     threads as of the instant of fork().  Their slots that were not handed out become free.
 *  2. tri_copy_pages() copies the contents of what is allocated, while the parent holds list_lock.
 *     No cycle ends meanwhile, so none of it is freed or used again.  Other threads may write to
 *     it.  The rest is made anew: states and counts; marks and buffers are empty.
 *  3. tri_backing_install() maps the copy: see forking.c.
 *
 * Pages in which nothing is allocated are neither read nor written, so holes stay holes in both.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "backing.h"
#include "cache.h"
#include "central.h"
#include "copying.h"
#include "specials.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

#define PIECE_BYTES (1ull << 20)	/* written at once, and between two calls of goes_on() */
#define SYSTEM_PAGE 4096u

/* Bytes of the heap that are to be written next. */
struct run {
	uint64_t from, to;
};

static const struct tri_class *class_of(const struct tri_view *v, uint64_t page)
{
	return &tri_classes[tri_read_acquire(&v->page_map[page])];
}

/* Pages of the span that begins at @page below @top; 0 if none does. */
static uint32_t span_at(const struct tri_view *v, uint64_t page, uint64_t top)
{
	const struct tri_class *c = class_of(v, page);
	uint64_t pages;

	if (!c->size && !c->large)
		return 0;
	if (c->pages != 1 && tri_read(&v->span_of[page]) != page)
		return 0;
	pages = c->large ? tri_large_pages(v, (uint32_t)page) : c->pages;
	return page + pages <= top ? (uint32_t)pages : 0;
}

static unsigned int words_of(const struct tri_class *c)
{
	return c->large ? 1 : (c->objects + 63u) / 64;
}

static uint64_t objects_mask(const struct tri_class *c, unsigned int w)
{
	return c->large ? 1 : tri_objects_mask(c->objects, w);
}

static void copy_span_tables(const struct tri_copy *c, uint32_t page, uint32_t pages)
{
	const struct tri_view *from = &tri_g.view, *to = &c->tables;
	uint8_t span_class = tri_read(&from->page_map[page]);
	const struct tri_class *class = &tri_classes[span_class];
	uint64_t bits[TRI_MARK_WORDS], any = 0;
	unsigned int w, i;

	for (w = 0; w < words_of(class); w++) {
		bits[w] = tri_read(&from->marks[c->gen & 1][page][w]) & objects_mask(class, w);
		any |= bits[w];
	}
	/*
	 * Nothing lives in the span, or the collector is just freeing it.  It is copied all the
	 * same if a thread has it in its cache.
	 */
	if (!any && TRI_STATE_OWNER(tri_read(&from->spans[page].state)) != TRI_SPAN_CACHED)
		return;
	for (w = 0; w < words_of(class); w++)
		tri_write(&to->marks[c->gen & 1][page][w], bits[w]);
	tri_write(&to->spans[page].state, tri_read(&from->spans[page].state));
	tri_write(&to->spans[page].pages, pages);
	tri_write(&to->spans[page].needs_zero, tri_read(&from->spans[page].needs_zero));
	to->spans[page].bytes = from->spans[page].bytes;
	for (i = 0; i < pages && class->pages != 1; i++)
		tri_write(&to->span_of[page + i], page);
	if (class->kind == TRI__TYPED)
		memcpy((void *)to->ptrmap[page], (const void *)from->ptrmap[page],
		       (size_t)pages * sizeof(from->ptrmap[page]));
	for (i = 0; i < pages; i++)
		tri_write(&to->page_map[page + i], span_class);
}

/* Make free what thread @t, which does not exist in the child, had in its caches. */
static void give_back(const struct tri_copy *c, const struct tri_thread *t)
{
	const struct tri_view *to = &c->tables;
	unsigned int span_class, i;

	for (span_class = 0; span_class < TRI__CACHES; span_class++) {
		const struct tri_cached_span *s = &t->spans[span_class];

		if (!(t->active[span_class / 64] >> (span_class & 63) & 1))
			continue;
		if (s->page) {
			tri_au64 *word = &to->marks[c->gen & 1][s->page][s->window];

			tri_write(word, tri_read(word) & ~t->caches[span_class].free);
			tri_write(&to->spans[s->page].state,
				  TRI_STATE(span_class, TRI_SPAN_IDLE, 0, c->gen));
		}
		for (i = 0; i < s->left; i++)
			tri_write(&to->spans[s->next + i * tri_classes[span_class].pages].state,
				  TRI_STATE(span_class, TRI_SPAN_IDLE, 0, c->gen));
	}
}

/**
 * Step 1.  @keep: the thread that the child has, or NULL if it is not attached.  Returns 0 or a
 * negative errno.
 */
int tri_copy_tables(struct tri_copy *c, const struct tri_thread *keep)
{
	const struct tri_ctl *ctl = tri_g.view.ctl;
	const struct tri_thread *t;
	uint64_t page, top;
	uint32_t pages;

	c->gen = tri_g.gen;
	top = tri_read(&ctl->top_pages);
	for (page = 1; page < top; page += pages ? pages : 1) {
		pages = span_at(&tri_g.view, page, top);
		if (pages)
			copy_span_tables(c, (uint32_t)page, pages);
	}
	for (t = tri_g.threads; t; t = t->next)
		if (t != keep)
			give_back(c, t);
	c->top = top;
	c->allocated_bytes = tri_read(&ctl->allocated_bytes);
	c->freed_bytes = tri_read(&ctl->freed_bytes);
	c->gc_percent = tri_read(&ctl->gc_percent);
	c->memory_limit_bytes = tri_read(&ctl->memory_limit_bytes);
	c->limit_policy = tri_read(&ctl->limit_policy);
	tri_specials_copy(&c->tables);
	return 0;
}

static int write_run(const struct tri_copy *c, struct run *run)
{
	const struct tri_view *from = &tri_g.view;
	int err = 0;

	while (!err && run->from < run->to) {
		uint64_t n = run->to - run->from < PIECE_BYTES ? run->to - run->from : PIECE_BYTES;

		err = tri_backing_write(&c->to, from->layout.heap + run->from,
					from->heap + run->from, n);
		run->from += n;
		if (!err && !c->goes_on(c->arg))
			err = -ETIMEDOUT;
	}
	run->from = run->to = 0;
	return err;
}

/* Add bytes [@from, @to) of the heap.  Ranges that follow each other are written together. */
static int add_to_run(const struct tri_copy *c, struct run *run, uint64_t from, uint64_t to)
{
	int err = 0;

	from &= ~(uint64_t)(SYSTEM_PAGE - 1);
	to = (to + SYSTEM_PAGE - 1) & ~(uint64_t)(SYSTEM_PAGE - 1);
	if (run->to < from || run->to - run->from >= PIECE_BYTES) {
		err = write_run(c, run);
		run->from = from;
		run->to = from;
	}
	if (to > run->to)
		run->to = to;
	return err;
}

/* Whether some memory is swapped out, or that can't be known. */
static bool swapping(void)
{
	struct sysinfo info;

	return sysinfo(&info) || info.freeswap != info.totalswap;
}

/*
 * Add those pages of a large object that have memory.  The kernel does not tell a hole from a page
 * that is swapped out.  So if there may be such pages, all are added.
 */
static int add_sparse(const struct tri_copy *c, struct run *run, uint64_t from, uint64_t to)
{
	unsigned char there[256];
	uint64_t at, i, n;
	int err = 0;

	for (at = from; !err && at < to; at += n * SYSTEM_PAGE) {
		n = (to - at) / SYSTEM_PAGE < sizeof(there) ? (to - at) / SYSTEM_PAGE :
							      sizeof(there);
		if (swapping() || mincore(tri_g.view.heap + at, n * SYSTEM_PAGE, there) ||
		    swapping())
			memset(there, 1, sizeof(there));
		for (i = 0; !err && i < n; i++)
			if (there[i] & 1)
				err = add_to_run(c, run, at + i * SYSTEM_PAGE,
						 at + (i + 1) * SYSTEM_PAGE);
	}
	return err;
}

static int add_objects(const struct tri_copy *c, struct run *run, const struct tri_class *class,
		       uint32_t page)
{
	uint64_t base = (uint64_t)page << TRI_PAGE_SHIFT;
	unsigned int w;
	int err = 0;

	for (w = 0; !err && w < words_of(class); w++) {
		uint64_t bits =
			tri_read(&c->tables.marks[c->gen & 1][page][w]) & objects_mask(class, w);

		while (!err && bits) {
			unsigned int first = (unsigned int)__builtin_ctzll(bits), n;

			n = ~(bits >> first) ? (unsigned int)__builtin_ctzll(~(bits >> first)) : 64;
			err = add_to_run(c, run, base + (uint64_t)(w * 64 + first) * class->size,
					 base + (uint64_t)(w * 64 + first + n) * class->size);
			bits &= first + n >= 64 ? 0 : ~0ull << (first + n);
		}
	}
	return err;
}

static int add_span(const struct tri_copy *c, struct run *run, uint32_t page, uint32_t pages)
{
	const struct tri_class *class = class_of(&c->tables, page);
	uint64_t at = (uint64_t)page << TRI_PAGE_SHIFT,
		 end = at + ((uint64_t)pages << TRI_PAGE_SHIFT);

	if (!class->large)
		return add_objects(c, run, class, page);
	if (tri_read(&c->tables.spans[page].needs_zero))
		return add_to_run(c, run, at, end);
	return add_sparse(c, run, at, end);
}

static void drop_span(const struct tri_view *to, uint32_t page, uint32_t pages)
{
	uint32_t i;

	for (i = 0; i < pages; i++)
		tri_write(&to->page_map[page + i], 0);
	tri_write(&to->spans[page].state, 0);
}

/* Make the span's tables those of one that was just swept.  False: nothing lives in it. */
static bool renew(const struct tri_copy *c, uint32_t page, uint32_t pages)
{
	const struct tri_view *to = &c->tables;
	uint8_t span_class = tri_read(&to->page_map[page]);
	const struct tri_class *class = &tri_classes[span_class];
	uint64_t state = tri_read(&to->spans[page].state);
	unsigned int w, i, live = 0;

	for (w = 0; w < words_of(class); w++)
		live += (unsigned int)__builtin_popcountll(
			tri_read(&to->marks[c->gen & 1][page][w]) & objects_mask(class, w));
	if (!live && TRI_STATE_OWNER(state) != TRI_SPAN_CACHED) {
		drop_span(to, page, pages);
		return false;
	}
	if (class->large)
		state = TRI_STATE(span_class, TRI_SPAN_LARGE, 0, c->gen);
	else if (TRI_STATE_OWNER(state) != TRI_SPAN_CACHED)
		state = TRI_STATE(span_class, TRI_SPAN_IDLE, class->objects - live, c->gen);
	/* Another thread may have used its slots since, and written to them. */
	if (!class->large && TRI_STATE_OWNER(state) != TRI_SPAN_CACHED)
		tri_write(&to->spans[page].needs_zero, 1);
	tri_write(&to->spans[page].state, state);
	tri_write(&to->spans[page].list_entry, 0);
	/* These are zero, but the collector must not be the first to touch them. */
	for (w = 0; w < words_of(class); w++) {
		tri_write(&to->marks[~c->gen & 1][page][w], 0);
		tri_write(&to->scanned[page][w], 0);
	}
	tri_write(&to->queued[page], 0);
	for (i = 0; i < pages; i++) {
		uint64_t bit = 1ull << ((page + i) & 63);

		tri_write(&to->used[(page + i) / 64], tri_read(&to->used[(page + i) / 64]) | bit);
		tri_write(&to->backed[(page + i) / 64],
			  tri_read(&to->backed[(page + i) / 64]) | bit);
		(void)tri_read(&to->chunks[(page + i) / TRI_CHUNK_PAGES]);
	}
	return true;
}

/** Step 2.  Returns 0 or a negative errno. */
int tri_copy_pages(struct tri_copy *c)
{
	const struct tri_view *to = &c->tables;
	struct run run = { 0, 0 };
	uint64_t page, used = 0, end = 1;
	uint32_t pages;
	int err = 0;

	for (page = 1; !err && page < c->top; page += pages ? pages : 1) {
		pages = span_at(to, page, c->top);
		if (!pages || !renew(c, (uint32_t)page, pages))
			continue;
		used += pages;
		end = page + pages;
		err = add_span(c, &run, (uint32_t)page, pages);
	}
	if (!err)
		err = write_run(c, &run);
	/* Page 0 stands for "no span". */
	tri_write(&to->used[0], tri_read(&to->used[0]) | 1);
	tri_write(&to->page_map[0], 0);
	tri_write(&to->grey[0], 0);
	tri_write(&to->backed[0], tri_read(&to->backed[0]));
	tri_write(&to->ctl->top_pages, end);
	tri_write(&to->ctl->used_pages, (int64_t)used);
	tri_write(&to->ctl->peak_pages, used);
	tri_write(&to->ctl->allocated_bytes, c->allocated_bytes);
	tri_write(&to->ctl->freed_bytes, c->freed_bytes);
	return err;
}

/** Put spans into the lists that caches refill from.  The copy is in its place. */
void tri_copy_list_spans(void)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t page, top = tri_read(&v->ctl->top_pages);
	uint32_t pages;

	for (page = 1; page < top; page += pages ? pages : 1) {
		pages = span_at(v, page, top);
		if (pages && !class_of(v, page)->large)
			tri_central_add((uint32_t)page, 1, tri_read(&v->page_map[page]));
	}
	tri_central_restart();
}

static void copy_prefix(const struct tri_copy *c, uint64_t offset, uint64_t bytes)
{
	memcpy((char *)c->to.base + offset, (const char *)tri_g.view.ctl + offset, bytes);
}

/**
 * Copy an arena as it is.  Only this process has it, and nobody changes anything meanwhile.
 * Returns 0 or a negative errno.
 */
int tri_copy_whole(struct tri_copy *c)
{
	const struct tri_layout *l = &tri_g.view.layout;
	const struct tri_ctl *ctl = tri_g.view.ctl;
	struct run run = { 0, 0 };
	uint64_t page, top;
	uint32_t pages;
	int err = 0;

	c->gen = tri_g.gen;
	c->top = top = tri_read(&ctl->top_pages);
	copy_prefix(c, 0, sizeof(*ctl));
	copy_prefix(c, l->slots, tri_read(&ctl->slots_top) * sizeof(struct tri_slot));
	copy_prefix(c, l->page_map, top);
	copy_prefix(c, l->span_of, top * sizeof(uint32_t));
	copy_prefix(c, l->spans, top * sizeof(struct tri_span));
	copy_prefix(c, l->used, (top + 63) / 64 * 8);
	copy_prefix(c, l->backed, (top + 63) / 64 * 8);
	copy_prefix(c, l->chunks, (top / TRI_CHUNK_PAGES + 1) * sizeof(uint32_t));
	copy_prefix(c, l->marks[0], top * TRI_MARK_WORDS * 8);
	copy_prefix(c, l->marks[1], top * TRI_MARK_WORDS * 8);
	copy_prefix(c, l->scanned, top * TRI_MARK_WORDS * 8);
	copy_prefix(c, l->ptrmap, top * TRI_PTRMAP_WORDS * 8);
	copy_prefix(c, l->queued, top);
	copy_prefix(c, l->grey, TRI_GREY_SLOTS * sizeof(uint32_t));
	copy_prefix(c, l->buffers, tri_read(&ctl->buffers_used) * sizeof(struct tri_buffer));
	tri_specials_copy(&c->tables);
	for (page = 1; !err && page < top; page += pages ? pages : 1) {
		pages = span_at(&c->tables, page, top);
		if (pages)
			err = add_span(c, &run, (uint32_t)page, pages);
	}
	return err ? err : write_run(c, &run);
}
