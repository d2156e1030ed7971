// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pacing.c - what is said to live when marking has ended
 *
 *	objects that are kept for their finalizers count as reached
 *	a client that says it keeps more than its heap holds keeps the heap at most
 */
#include <string.h>

#include "core/heap/sizeclass.h"
#include "daemon/heap/arena.h"
#include "daemon/heap/pacing.h"
#include "kselftest.h"
#include "lib/check.h"
#include "lib/plain_arena.h"

#define PAGES (TRI_CHUNK_PAGES * 4)
#define HEAP_BYTES ((uint64_t)PAGES << TRI_PAGE_SHIFT)
#define MARKED_BYTES 64u		/* the object that make_arena() marks */
#define ALLOCATED_BYTES 5000u

static struct arena arena;

static void make_arena(void)
{
	arena.fd = plain_arena_in_file(&arena.view, PAGES);
	tri_write(&arena.view.ctl->top_pages, PAGES);
	if (marker_init(&arena.marker, &arena.view, arena.fd))
		ksft_exit_fail_msg("no memory\n");
}

/* A cycle that marks one object, after which the client says that it keeps @kept bytes. */
static void end_marking(uint64_t kept)
{
	static const struct pacer_config config = {
		.gc_percent = 100,
		.memory_limit_bytes = PACER_NO_LIMIT,
		.procs = 1,
		.heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES,
	};
	struct tri_msg_answer answer = { .allocated_bytes = ALLOCATED_BYTES, .kept_bytes = kept };

	pacer_init(&arena.pacer, &config);
	arena.limit.in_force_bytes = PACER_NO_LIMIT;
	memset(&arena.live, 0, sizeof(arena.live));
	tri_write(&arena.view.page_map[1],
		  (uint8_t)tri_span_class(tri__class(MARKED_BYTES), TRI__LEAF));
	tri_write(&arena.view.span_of[1], 1);
	tri_write(&arena.view.spans[1].pages, 1);
	tri_write(&arena.view.marks[0][1][0], 1);
	tri_write(&arena.view.marks[1][1][0], 0);
	mark_begin(&arena.marker, 1);
	mark_object(&arena.marker, TRI_PAGE_BYTES);
	mark_drain(&arena.marker);
	pacing_end_marking(&arena, ALLOCATED_BYTES, &answer, false);
}

static void test_kept(void)
{
	end_marking(0);
	check(arena.live.reached_bytes == MARKED_BYTES);
	end_marking(TRI_PAGE_BYTES);
	check(arena.live.reached_bytes == MARKED_BYTES + TRI_PAGE_BYTES);
	check(arena.live.bytes == MARKED_BYTES + TRI_PAGE_BYTES);
	check(tri_read(&arena.view.ctl->live_bytes) == arena.live.bytes);
	result("what is kept for finalizers counts as reached");
}

static void test_cut(void)
{
	static const uint64_t kept[] = { HEAP_BYTES, HEAP_BYTES + 1, 1ull << 48, 1ull << 63,
					 UINT64_MAX - MARKED_BYTES, UINT64_MAX };
	unsigned int i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		end_marking(kept[i]);
		check(arena.live.reached_bytes == MARKED_BYTES + HEAP_BYTES);
	}
	result("no more is kept than the heap holds");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(2);
	tri_classes_init();
	make_arena();
	test_kept();
	test_cut();
	marker_exit(&arena.marker);
	ksft_finished();
}
