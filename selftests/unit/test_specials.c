// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_specials.c - what the collector marks for records of cleanups and finalizers
 *
 *	each row of the table in core/heap/special.h, for objects of every sort: small, of several
 *	pages, large, with and without a pointer map, leaves
 *	an object that is marked already is not scanned once more
 *	records that are free, or of a kind that does not exist
 *	records that lie: targets and arguments out of the heap, into free pages and free slots
 *	a specials_top beyond all records: nothing of the heap behind them is taken for a record
 *	a hole among the records: nothing of the file gets memory
 *	many records: the queue stays short, and the collector looks after its orders meanwhile
 *	finalizers all of which are of one large object: an end
 *
 * `test_specials 1000000` measures that many records of live finalizers.
 */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/heap/special.h"
#include "daemon/heap/specials.h"
#include "kselftest.h"
#include "lib/check.h"
#include "lib/plain_arena.h"

/* Included for the worker's queues. */
#include "daemon/heap/mark.c"

#define PAGES (TRI_CHUNK_PAGES * 256)	/* room for 1,048,576 records */
#define MANY 100000			/* records, if the command line says nothing else */
#define CYCLE 7

static struct tri_view view;
static struct marker marker;
static int fd;
static uint32_t next_page;		/* not part of a span yet */
static unsigned int progressed;

static void count_progress(void *arg)
{
	(void)arg;
	progressed++;
}

/* An empty heap, and a marker that begins. */
static void begin_cycle(void)
{
	plain_arena_clear(&view, fd);
	tri_write(&view.ctl->top_pages, PAGES);
	next_page = 1;
	progressed = 0;
	mark_begin(&marker, CYCLE);
	marker.progress = count_progress;
}

static uint64_t blocks(void)
{
	struct stat st;

	fstat(fd, &st);
	return (uint64_t)st.st_blocks;
}

/* A span for objects of @size.  Returns its page. */
static uint32_t make_span(uint64_t size, unsigned int kind, uint32_t pages)
{
	unsigned int span_class = size > 32768 ? TRI_SPAN_CLASS_LARGE + kind :
				  tri_span_class(tri__class(size), kind);
	const struct tri_class *c = &tri_classes[span_class];
	uint32_t page = next_page, i;

	if (!c->large)
		pages = c->pages;
	tri_write(&view.spans[page].pages, pages);
	for (i = 0; i < pages; i++) {
		tri_write(&view.span_of[page + i], page);
		tri_write(&view.page_map[page + i], (uint8_t)span_class);
	}
	next_page += pages;
	return page;
}

static uint64_t at(uint32_t page, uint32_t index)
{
	return ((uint64_t)page << TRI_PAGE_SHIFT) +
	       (uint64_t)index * tri_classes[tri_read(&view.page_map[page])].size;
}

static void allocate(uint64_t offset)
{
	struct tri_object o;

	if (!tri_resolve(&view, offset, &o))
		ksft_exit_fail_msg("no object at %#llx\n", (unsigned long long)offset);
	atomic_fetch_or(&marker.allocated[o.page][o.index / 64], 1ull << (o.index & 63));
}

/* An object of its own span. */
static uint64_t object(uint64_t size, unsigned int kind)
{
	uint64_t offset = at(make_span(size, kind, (uint32_t)(size >> TRI_PAGE_SHIFT)), 0);

	allocate(offset);
	return offset;
}

static uint64_t address(uint64_t offset)
{
	return view.heap_va + offset;
}

static void store(uint64_t holder, uint64_t at_byte, uint64_t offset)
{
	*(volatile uint64_t *)(view.heap + holder + at_byte) = address(offset);
}

static bool is_marked(uint64_t offset)
{
	struct tri_object o;

	return tri_resolve(&view, offset, &o) && tri_bit(marker.marks, o.page, o.index);
}

static void record(uint32_t i, unsigned int state, unsigned int kind, uint64_t target,
		   uint64_t argument)
{
	struct tri_special *s = &view.specials[i];

	tri_write(&s->target, target);
	tri_write(&s->argument, argument);
	tri_write(&s->word, TRI_SPECIAL_WORD(state, kind, i));
	if (tri_read(&view.ctl->specials_top) <= i)
		tri_write(&view.ctl->specials_top, i + 1);
}

static const struct row {
	unsigned int state, kind;
	bool argument, object, referents;	/* marked */
} rows[] = {
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, true, false, false },
	{ TRI_SPECIAL_QUEUED, TRI_SPECIAL_CLEANUP, true, false, false },
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, true, false, true },
	{ TRI_SPECIAL_QUEUED, TRI_SPECIAL_FINALIZER, true, true, true },
	{ TRI_SPECIAL_FREE, TRI_SPECIAL_CLEANUP, false, false, false },
	{ TRI_SPECIAL_FREE, TRI_SPECIAL_FINALIZER, false, false, false },
	{ TRI_SPECIAL_QUEUED + 1, TRI_SPECIAL_FINALIZER, false, false, false },
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER + 1, false, false, false },
	{ TRI_SPECIAL_LIVE, 0, false, false, false },
};

/*
 * One record of @row, of an object of @size.  Its first and its last word refer to others, the last
 * one over one more object; with a pointer map, only the last one is a pointer.
 */
static void check_row(const struct row *row, uint64_t size, unsigned int kind)
{
	uint64_t o, first, last, behind, argument, bit;
	bool typed = kind == TRI__TYPED, leaf = kind == TRI__LEAF;

	begin_cycle();
	o = object(size, kind);
	first = object(64, TRI__LEAF);
	last = object(48, TRI__CONSERVATIVE);
	behind = object(TRI_PAGE_BYTES * 6, TRI__LEAF);
	argument = object(32, TRI__CONSERVATIVE);
	store(o, 0, first);
	store(o, size - 8, last);
	store(last, 40, behind);
	bit = (o + size - 8) / 8;
	if (typed)
		atomic_fetch_or(&(&view.ptrmap[0][0])[bit / 64], 1ull << (bit & 63));
	/* What refers to the object does not count: its record is no reference from it. */
	store(argument, 0, argument);
	record(200, row->state, row->kind, o, address(argument));
	specials_walk(&marker);
	mark_drain(&marker);
	check(!mark_failed(&marker));
	check(is_marked(argument) == row->argument);
	check(is_marked(o) == row->object);
	check(is_marked(first) == (row->referents && !typed && !leaf));
	check(is_marked(last) == (row->referents && !leaf));
	check(is_marked(behind) == (row->referents && !leaf));
}

static void test_rows(void)
{
	static const uint64_t sizes[] = { 16, 24, 512, 576, 3072, 32768, 5 * TRI_PAGE_BYTES,
					  40 * TRI_PAGE_BYTES };
	static const unsigned int kinds[] = { TRI__CONSERVATIVE, TRI__TYPED, TRI__LEAF };
	unsigned int r, s, k;

	for (r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (k = 0; k < 3; k++)
				check_row(&rows[r], sizes[s], kinds[k]);
	result("records are marked as the table says");
}

/* Objects of one span, of which only one has a finalizer: the others are not scanned with it. */
static void test_neighbours(void)
{
	uint32_t page;
	uint64_t a, b;

	begin_cycle();
	page = make_span(32, TRI__CONSERVATIVE, 0);
	a = object(64, TRI__CONSERVATIVE);
	b = object(64, TRI__CONSERVATIVE);
	allocate(at(page, 3));
	allocate(at(page, 4));
	store(at(page, 3), 24, a);
	store(at(page, 4), 0, b);
	record(1, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, at(page, 3) + 9, 0);
	specials_walk(&marker);
	check(is_marked(a) && !is_marked(b));
	check(!is_marked(at(page, 3)) && !is_marked(at(page, 4)));
	/* One that something refers to later is scanned with its span as ever. */
	mark_entry(&marker, address(at(page, 4)));
	mark_drain(&marker);
	check(is_marked(b) && is_marked(at(page, 4)) && !is_marked(at(page, 3)));
	result("an object is scanned for its finalizer without its neighbours");
}

/* What is marked already is scanned once, however many finalizers it claims to have. */
static void test_marked(void)
{
	uint64_t o, before;
	uint32_t i;

	begin_cycle();
	o = object(TRI_PAGE_BYTES * 100, TRI__CONSERVATIVE);
	mark_entry(&marker, address(o));
	mark_drain(&marker);
	for (i = 1; i < 128; i++)
		record(i, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, o, 0);
	before = mark_scan_bytes(&marker);
	specials_walk(&marker);
	mark_drain(&marker);
	check(mark_scan_bytes(&marker) == before + 128 * sizeof(struct tri_special));
	result("an object that is marked is not scanned for its finalizer");
}

/*
 * Records that lead nowhere.  One argument is the number of an object with TRI_ENTRY_GREY, which is
 * a command in a buffer, and here is nothing.
 */
static void test_lies(void)
{
	uint64_t free_slot, gone, above, heap = (uint64_t)PAGES << TRI_PAGE_SHIFT, before;
	static const uint64_t far[] = { 1, 1ull << 47, 1ull << 63, UINT64_MAX, UINT64_MAX - 7 };
	uint32_t i = 1, n;

	begin_cycle();
	free_slot = at(make_span(64, TRI__CONSERVATIVE, 0), 5);
	above = object(64, TRI__CONSERVATIVE);
	gone = (uint64_t)next_page << TRI_PAGE_SHIFT;
	store(free_slot, 0, above);
	store(gone, 0, above);
	for (n = 0; n < sizeof(far) / sizeof(far[0]); n++) {
		record(i++, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, heap + far[n], far[n]);
		record(i++, TRI_SPECIAL_QUEUED, TRI_SPECIAL_FINALIZER, far[n],
		       address(heap + far[n]));
	}
	record(i++, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, free_slot, address(gone));
	record(i++, TRI_SPECIAL_QUEUED, TRI_SPECIAL_FINALIZER, free_slot, address(free_slot));
	record(i++, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, gone, TRI_ENTRY_GREY | above);
	record(i++, TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, above, TRI_ENTRY_GREY | above);
	before = mark_objects(&marker);
	marker.supplied = false;
	specials_walk(&marker);
	mark_drain(&marker);
	check(!mark_failed(&marker) && mark_objects(&marker) == before);
	check(!is_marked(above) && !is_marked(free_slot) && !marker.supplied);

	/* Nothing above the limit is looked at: it is black. */
	begin_cycle();
	free_slot = object(64, TRI__CONSERVATIVE);
	above = object(64, TRI__CONSERVATIVE);
	store(above, 0, free_slot);
	marker.self->k.limit = above & ~(TRI_PAGE_BYTES - 1);
	record(1, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, above, address(above));
	specials_walk(&marker);
	check(!is_marked(above) && !is_marked(free_slot));
	result("records that lie lead nowhere");
}

/* The last record that there is room for, and a number of records that there is none for. */
static void test_holes(void)
{
	uint64_t argument, behind, other, before, scanned;
	struct tri_special *false_record;
	uint32_t last = (uint32_t)tri_specials_room(&view) - 1;

	begin_cycle();
	argument = object(64, TRI__LEAF);
	/* Its mark shares a page of the bitmap with this one.  The tables get their memory now. */
	mark_entry(&marker, address(object(64, TRI__LEAF)));
	mark_drain(&marker);
	/* The heap comes after the table.  An object there is no record, whatever it holds. */
	other = object(64, TRI__LEAF);
	behind = object(64, TRI__CONSERVATIVE);
	false_record = (struct tri_special *)(view.heap + behind);
	tri_write(&false_record->argument, address(other));
	tri_write(&false_record->word,
		  TRI_SPECIAL_WORD(TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, 0));
	record(last, TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, 0, address(argument));
	tri_write(&view.ctl->specials_top, UINT32_MAX);
	before = blocks();
	scanned = mark_scan_bytes(&marker);
	specials_walk(&marker);
	check(blocks() == before);
	check(is_marked(argument) && !is_marked(other));
	check(mark_scan_bytes(&marker) == scanned + 4096);

	/* From specials_top on nothing is read. */
	begin_cycle();
	argument = object(64, TRI__LEAF);
	record(129, TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, 0, address(argument));
	tri_write(&view.ctl->specials_top, 129);
	specials_walk(&marker);
	check(!is_marked(argument));
	tri_write(&view.ctl->specials_top, 130);
	specials_walk(&marker);
	check(is_marked(argument));

	/* No record was ever used: not even the file is asked. */
	begin_cycle();
	before = blocks();
	specials_walk(&marker);
	check(blocks() == before && !mark_scan_bytes(&marker));
	result("records without memory are passed over");
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A live finalizer for each of @n objects of @size.  Each refers to an object of its own. */
static void test_many(uint32_t n, uint64_t size)
{
	uint32_t i, page = 0, leaf_page = 0, index = 0, leaf_index = 0;
	uint32_t objects = TRI_PAGE_BYTES / (uint32_t)size, leaves = TRI_PAGE_BYTES / 16;
	uint64_t o, began;

	begin_cycle();
	for (i = 1; i <= n; i++, index++, leaf_index++) {
		if (index == objects || !page) {
			page = make_span(size, TRI__CONSERVATIVE, 0);
			index = 0;
		}
		if (leaf_index == leaves || !leaf_page) {
			leaf_page = make_span(16, TRI__LEAF, 0);
			leaf_index = 0;
		}
		o = at(page, index);
		allocate(o);
		allocate(at(leaf_page, leaf_index));
		store(o, size - 8, at(leaf_page, leaf_index));
		record(i, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, o, 0);
	}
	began = now_ns();
	specials_walk(&marker);
	mark_drain(&marker);
	ksft_print_msg("%u records of %llu-byte objects: %llu ns each\n", n,
		       (unsigned long long)size, (unsigned long long)((now_ns() - began) / n));
	/* The leaves are marked, and none of the objects. */
	check(!mark_failed(&marker) && mark_objects(&marker) == n);
	check(is_marked(at(leaf_page, leaf_index - 1)) && !is_marked(at(page, index - 1)));
	check(marker.self->pieces_room <= 256);
	check(progressed >= n * sizeof(struct tri_special) / CREDIT_BYTES);
}

/*
 * All records are finalizers of one large object that is white, which is to be scanned for each of
 * them.  A sound heap has one finalizer for an object at most.
 */
static void test_ends(void)
{
	uint32_t i;
	uint64_t o;

	begin_cycle();
	o = object((uint64_t)(PAGES - 8) << TRI_PAGE_SHIFT, TRI__CONSERVATIVE);
	for (i = 1; i < 1000; i++)
		record(i, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, o, 0);
	specials_walk(&marker);
	check(mark_failed(&marker));
	check(mark_scan_bytes(&marker) < 4ull * PAGES << TRI_PAGE_SHIFT);

	/* A heap of which all objects are scanned once for the finalizer and once more is sound. */
	begin_cycle();
	o = object((uint64_t)(PAGES - 8) << TRI_PAGE_SHIFT, TRI__CONSERVATIVE);
	record(1, TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, o, address(o));
	specials_walk(&marker);
	mark_entry(&marker, address(o));
	mark_drain(&marker);
	check(!mark_failed(&marker));
	result("a heap that has more to scan than it can hold is given up");
}

int main(int argc, char **argv)
{
	uint32_t many = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : MANY;

	if (many >= tri_specials_room(&(struct tri_view){ .heap_pages = PAGES }))
		ksft_exit_fail_msg("at most %llu records\n", PAGES * 8ull - 1);
	ksft_print_header();
	ksft_set_plan(7);
	tri_classes_init();
	fd = plain_arena_in_file(&view, PAGES);
	if (marker_init(&marker, &view, fd))
		ksft_exit_fail_msg("no memory\n");
	test_rows();
	test_neighbours();
	test_marked();
	test_lies();
	test_holes();
	test_many(many, 16);
	test_many(many, 64);
	result("many records need no large queue, and orders are taken meanwhile");
	test_ends();
	marker_exit(&marker);
	ksft_finished();
}
