// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_marker.c - what the marker does with single entries and pieces
 *
 * Two promises that the rest of the collector relies on and that no heap can be made to break from
 * outside, as something before them keeps it: a GREY entry makes a round unclean, whatever it
 * leads to; and nothing is scanned beyond the heap, whatever the tables say.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/check.h"
#include "kselftest.h"
#include "lib/plain_arena.h"

/*
 * Included for its statics: mark_entry() and the pieces of a worker are not for the rest of the
 * collector.
 */
#include "daemon/heap/mark.c"

#define PAGES TRI_CHUNK_PAGES
#define CYCLE 7

static struct tri_view view;
static struct marker marker;

static void begin_marking(void)
{
	plain_arena(&view, PAGES);
	tri_write(&view.ctl->top_pages, PAGES);
	if (marker_init(&marker, &view, -1))
		ksft_exit_fail_msg("no memory\n");
	mark_begin(&marker, CYCLE);
}

/* A mutator has marked an object and not scanned it: it counted it, so that only this says so. */
static void test_grey_entry(void)
{
	unsigned int span_class = tri_span_class(tri__class(64), TRI__CONSERVATIVE);
	uint64_t before;

	tri_write(&view.page_map[3], (uint8_t)span_class);
	tri_write(&view.marks[CYCLE & 1][3][0], 1);
	before = mark_objects(&marker);
	marker.supplied = false;
	mark_entry(&marker, TRI_ENTRY_GREY | 3ull << TRI_PAGE_SHIFT);
	check(marker.supplied);
	check(mark_objects(&marker) == before);
	mark_drain(&marker);
	check(tri_read(&view.scanned[3][0]) == 1);
}

/* An object of a span that hangs over the end of the heap. */
static void test_piece_beyond(void)
{
	struct mark_worker *w = marker.self;
	unsigned int span_class;

	for (span_class = 1; span_class < TRI_SPAN_CLASS_LARGE && tri_classes[span_class].pages < 2;
	     span_class++)
		;
	check(tri_classes[span_class].pages > 1 && tri_classes[span_class].objects > 1);
	w->npieces = 0;
	marking_queue_object(&w->k, &tri_classes[span_class], PAGES - 1,
			     tri_classes[span_class].objects - 1u);
	check(w->npieces == 0);
	marking_queue_object(&w->k, &tri_classes[span_class], PAGES - tri_classes[span_class].pages,
			     tri_classes[span_class].objects - 1u);
	check(w->npieces == 1);
	w->npieces = 0;
}

/* A large object that says it is longer than what is left of the heap. */
static void test_large_beyond(void)
{
	tri_write(&view.spans[PAGES - 4].pages, 4);
	check(tri_large_pages(&view, PAGES - 4) == 4);
	tri_write(&view.spans[PAGES - 4].pages, 5);
	check(tri_large_pages(&view, PAGES - 4) == 0);
	tri_write(&view.spans[PAGES - 4].pages, UINT32_MAX);
	check(tri_large_pages(&view, PAGES - 4) == 0);
}

#define ARENA_BYTES (8ull << 20)

/*
 * A client that clears marks while they are made has the same objects queued again and again, in a
 * heap that it says is of 1 TiB: queues end at what the arena's memory pays for.  What a sound heap
 * needs they hold.
 */
static void test_queues_end(void)
{
	struct mark_worker *w = marker.self;
	uint64_t n, most = (QUEUE_SLACK_BYTES + QUEUE_FACTOR * ARENA_BYTES) * 2;
	uint64_t least = ARENA_BYTES / 128 * 14 * sizeof(struct mark_piece);
	int fd = memfd_create("test_marker", MFD_CLOEXEC);

	check(fd >= 0 && !ftruncate(fd, 1ll << 40) && !fallocate(fd, 0, 0, (off_t)ARENA_BYTES));
	marker.fd = fd;
	w->k.limit = 1ull << 40;
	for (n = 0; !w->failed && n < 1ull << 28; n++)
		put_piece(w, (struct mark_piece){ .offset = 8192, .bytes = 576 });
	check(w->failed && n * sizeof(struct mark_piece) < most);
	check(n * sizeof(struct mark_piece) > least);
	w->failed = false;
	w->npieces = 0;
	for (n = 0; !w->failed && n < 1ull << 28; n++)
		put_span(w, 1);
	check(w->failed && n * sizeof(uint32_t) < most);
	check(n > ARENA_BYTES / 128);
	w->failed = false;
	w->head = w->tail = 0;
	marker.fd = -1;
	close(fd);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(4);
	tri_classes_init();
	begin_marking();
	test_grey_entry();
	result("a GREY entry makes the round unclean");
	test_piece_beyond();
	result("no piece beyond the heap is queued");
	test_large_beyond();
	result("no large object is longer than the heap");
	test_queues_end();
	result("queues end at what the arena's memory pays for");
	ksft_finished();
}
