// SPDX-License-Identifier: GPL-2.0-only
/* test_pacer_goal.c - the goal that the pacer sets, by hand */
#include "lib/pacer_cycles.h"

static void test_gogc(void)
{
	static const struct {
		int32_t percent;
		uint64_t marked_bytes;
		uint64_t goal_bytes;
	} cases[] = {
		{ 100, 100 * MIB, 200 * MIB },
		{ 50, 100 * MIB, 150 * MIB },
		{ 200, 100 * MIB, 300 * MIB },
		{ 100, 1 * MIB, 4 * MIB },		/* minimum */
		{ 800, 1 * MIB, 32 * MIB },		/* minimum, scaled */
		{ 0, 100 * MIB, 101 * MIB },		/* room to sweep */
		{ 0, 0, 1 * MIB },
		{ 1, 1000 * MIB, 1010 * MIB },
		{ 1, 10 * MIB, 11 * MIB },		/* room to sweep */
		{ 1000000, 100 * MIB, 100 * MIB + 1000000 * MIB },
		{ INT32_MAX, 100 * GIB, 100 * GIB + INT32_MAX * GIB },
		{ INT32_MAX, UINT64_MAX / 2, UINT64_MAX },
		{ 100, UINT64_MAX, UINT64_MAX },
		{ -1, 100 * MIB, PACER_NEVER },
		{ INT32_MIN, 0, PACER_NEVER },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pacer p;

		pacer_of(&p, cases[i].percent, PACER_NO_LIMIT);
		whole_cycle(&p, cases[i].marked_bytes, cases[i].marked_bytes, cases[i].marked_bytes,
			    0);
		check_bytes(pacer_goal_bytes(&p), cases[i].goal_bytes);
		check(pacer_trigger_bytes(&p) <= pacer_goal_bytes(&p));
	}
	result("goal for every GOGC");
}

/* Stacks and globals are scanned like the heap, so they earn room in it. */
static void test_roots_in_goal(void)
{
	struct pacer_end e = {
		.heap_live_bytes = 50 * MIB,
		.marked_bytes = 10 * MIB,
		.heap_scan_bytes = 10 * MIB,
		.stack_scan_bytes = 7 * MIB,
		.globals_scan_bytes = 3 * MIB,
	};
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	start_cycle(&p, 45 * MIB);
	pacer_cycle_end(&p, &e);
	check_bytes(pacer_goal_bytes(&p), 30 * MIB);
	check_bytes(pacer_expected_scan_bytes(&p), 20 * MIB);
	result("stacks and globals raise the goal");
}

/* A cycle that starts late still gets 64 KiB to mark in, and only while it marks. */
static void test_late_start(void)
{
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	start_cycle(&p, 4 * MIB - 65537);
	check_bytes(pacer_goal_bytes(&p), 4 * MIB);
	start_cycle(&p, 4 * MIB - 65535);
	check_bytes(pacer_goal_bytes(&p), 4 * MIB + 1);
	start_cycle(&p, 40 * MIB);
	check_bytes(pacer_goal_bytes(&p), 40 * MIB + 64 * KIB);
	whole_cycle(&p, 40 * MIB, 41 * MIB, 1 * MIB, 1 * MIB);
	check_bytes(p.last_goal_bytes, 40 * MIB + 64 * KIB);
	check_bytes(pacer_goal_bytes(&p), 4 * MIB);
	result("a late start gets runway");
}

/*
 * goal = limit − (mapped − free − alloc) − max(mapped − limit, 0), less the larger of 3 % and
 * 1 MiB, at least marked.
 */
static void test_limit_goal(void)
{
	static const struct {
		uint64_t limit_bytes, mapped_bytes, free_bytes, alloc_bytes, marked_bytes;
		uint64_t goal_bytes;
	} cases[] = {
		/* All of it is heap: 1000 − 30. */
		{ 1000 * MIB, 0, 0, 0, 0, 970 * MIB },
		/* 300 mapped, of which 100 free and 150 in objects: 50 are not heap: 950 − 28.5. */
		{ 1000 * MIB, 300 * MIB, 100 * MIB, 150 * MIB, 80 * MIB,
		  950 * MIB - 950 * MIB / 100 * 3 },
		/* 100 over the limit, and 50 not heap: 1000 − 150 = 850, − 25.5. */
		{ 1000 * MIB, 1100 * MIB, 100 * MIB, 950 * MIB, 80 * MIB,
		  850 * MIB - 850 * MIB / 100 * 3 },
		/* Never under marked. */
		{ 1000 * MIB, 0, 0, 0, 990 * MIB, 990 * MIB },
		{ 1000 * MIB, 0, 0, 0, 2000 * MIB, 2000 * MIB },
		/* What is not heap alone is at the limit, or over: marked. */
		{ 1000 * MIB, 1000 * MIB, 0, 0, 7 * MIB, 7 * MIB },
		{ 1000 * MIB, 5000 * MIB, 0, 0, 7 * MIB, 7 * MIB },
		{ 0, 0, 0, 0, 7 * MIB, 7 * MIB },
		/* Small limits: 20 − 1; 1.5 would leave 0.5, but the headroom is the least goal. */
		{ 20 * MIB, 0, 0, 0, 0, 19 * MIB },
		{ 3 * MIB / 2, 0, 0, 0, 0, 1 * MIB },
		{ 1, 0, 0, 0, 0, 1 * MIB },
		/* Parts that exceed the whole: nothing is outside the heap. */
		{ 1000 * MIB, 300 * MIB, 200 * MIB, 150 * MIB, 0, 970 * MIB },
		{ 1000 * MIB, 300 * MIB, UINT64_MAX, UINT64_MAX, 0, 970 * MIB },
		{ 1000 * MIB, UINT64_MAX, 0, 0, 5, 5 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pacer_memory memory = {
			.mapped_bytes = cases[i].mapped_bytes,
			.heap_free_bytes = cases[i].free_bytes,
			.heap_alloc_bytes = cases[i].alloc_bytes,
		};
		struct pacer p;

		/* With GOGC off the limit decides alone. */
		pacer_of(&p, -1, (int64_t)cases[i].limit_bytes);
		whole_cycle(&p, 0, 0, cases[i].marked_bytes, 0);
		pacer_set_memory(&p, &memory);
		check_bytes(pacer_goal_bytes(&p), cases[i].goal_bytes);
		check(pacer_trigger_bytes(&p) <= cases[i].goal_bytes);
		check(pacer_trigger_bytes(&p) >= cases[i].marked_bytes);

		/* Going through the end of a cycle says the same. */
		whole_cycle(&p, 0, 0, cases[i].marked_bytes, 0);
		check_bytes(pacer_goal_bytes(&p), cases[i].goal_bytes);
	}
	result("goal under a limit");
}

/* The smaller goal wins, and under a limit nothing moves it up. */
static void test_limit_or_gogc(void)
{
	struct pacer_end e = { 0 };
	struct pacer p;

	pacer_of(&p, 100, 1000 * MIB);
	whole_cycle(&p, 0, 0, 100 * MIB, 0);
	check_bytes(pacer_goal_bytes(&p), 200 * MIB);
	whole_cycle(&p, 0, 0, 600 * MIB, 0);
	check_bytes(pacer_goal_bytes(&p), 970 * MIB);

	/* Neither for the start of a cycle … */
	start_cycle(&p, 990 * MIB);
	check_bytes(pacer_goal_bytes(&p), 970 * MIB);
	/* … nor for sweeping: 970 is 512 KiB away from marked. */
	whole_cycle(&p, 0, 0, 970 * MIB - 512 * KIB, 0);
	check_bytes(pacer_goal_bytes(&p), 970 * MIB);
	check(pacer_trigger_bytes(&p) < 970 * MIB);

	/* What the end of a cycle says about memory counts: 200 MiB are not heap: 800 − 24. */
	e.marked_bytes = 600 * MIB;
	e.memory.mapped_bytes = 900 * MIB;
	e.memory.heap_alloc_bytes = 700 * MIB;
	start_cycle(&p, 900 * MIB);
	pacer_cycle_end(&p, &e);
	check_bytes(pacer_goal_bytes(&p), 776 * MIB);

	/* Live heap over the limit: goal and trigger at marked, a cycle at every turn. */
	whole_cycle(&p, 0, 0, 1200 * MIB, 0);
	check_bytes(pacer_goal_bytes(&p), 1200 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 1200 * MIB);

	/* A negative limit is no permission. */
	pacer_of(&p, 100, -5);
	check_bytes(pacer_goal_bytes(&p), 0);
	check_bytes(pacer_trigger_bytes(&p), 0);
	result("the smaller goal wins");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(5);
	test_gogc();
	test_roots_in_goal();
	test_late_start();
	test_limit_goal();
	test_limit_or_gogc();
	ksft_finished();
}
