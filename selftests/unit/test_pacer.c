// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pacer.c - the pacer's arithmetic, by hand: cons/mark, the trigger, assists
 *
 * test_pacer_goal.c has the goal, test_pacer_random.c has random calls, and test_pacer_sim.c shows
 * how the pacer behaves over many cycles.
 */
#include <math.h>

#include "lib/pacer_cycles.h"

/* ------------------------------------------------------------------------------------------ */
/* By hand                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static void test_first_cycle(void)
{
	struct pacer p;

	/*
	 * Nothing is marked and nothing measured: the goal is the minimum, and without a runway the
	 * trigger is at its upper bound: 4 MiB · 61/64 = 4,194,304 / 64 · 61 = 65,536 · 61.
	 */
	pacer_of(&p, 100, PACER_NO_LIMIT);
	check_bytes(pacer_goal_bytes(&p), 4 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 65536 * 61);
	check_bytes(pacer_expected_scan_bytes(&p), 0);
	check(p.last_goal_bytes == 0);

	/* At GOGC 50 the minimum is half of that. */
	pacer_of(&p, 50, PACER_NO_LIMIT);
	check_bytes(pacer_goal_bytes(&p), 2 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 32768 * 61);

	/*
	 * A limit of 1000 MiB alone, a goal of 970: half-way, until something has been measured …
	 */
	pacer_of(&p, -1, 1000 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 485 * MIB);
	whole_cycle(&p, 485 * MIB, 485 * MIB, 200 * MIB, 0);
	check_bytes(pacer_trigger_bytes(&p), 485 * MIB);
	/* … or a quarter is known to live, so that half-way would be soon. */
	whole_cycle(&p, 485 * MIB, 485 * MIB, 250 * MIB, 0);
	check(pacer_trigger_bytes(&p) > 485 * MIB);
	whole_cycle(&p, 485 * MIB, 490 * MIB, 200 * MIB, 10 * MIB);
	check(p.cons_mark > 0);
	check(pacer_trigger_bytes(&p) > 485 * MIB);
	/* If GOGC's goal is below the limit's, it is as without one. */
	pacer_of(&p, 100, 1000 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 65536 * 61);
	result("before the first cycle");
}

/*
 * Two cycles in full.
 *
 * The first starts at 4,000,000 live and ends at 4,300,000: 300,000 allocated, while background
 * workers had their 25 %.  Marked: 2 MiB.  Scanned: 1 MiB of heap, 64 KiB of stacks, 32 KiB of
 * globals, together 1,146,880.
 *
 *	cons/mark = 300,000 · 0.25 / (1,146,880 · 0.75)		= 0.0871930…
 *	goal      = 2,097,152 + (2,097,152 + 65,536 + 32,768)	= 4,292,608
 *	runway    = cons/mark · 3 · 1,146,880			= 300,000
 *		(as it should be: if the next cycle is the same, it ends at the goal)
 *	trigger   = 4,292,608 − 300,000				= 3,992,608
 *	bounds:	2,097,152 + 2,195,456 · 45/64			= 3,640,832
 *		2,097,152 + 2,195,456 · 61/64			= 4,189,696
 *
 * The second starts at the trigger and ends at 4,392,608: 400,000 allocated.  Workers had 25 %,
 * assists 15 %, idle workers 10 %.  It marks 2.5 MiB (2,621,440) and scans 2,000,000.
 *
 *	cons/mark = 400,000 · (0.40 + 0.10) / (2,000,000 · 0.60)	= 1/6
 *	goal      = 2 · 2,621,440 + 98,304 (the roots again)		= 5,341,184
 *	runway    = 1/6 · 3 · 2,000,000					= 1,000,000
 *	trigger   = 5,341,184 − 1,000,000				= 4,341,184
 *	lower:	2,621,440 + 2,719,744 · 45/64				= 4,533,760	which wins
 */
static void test_two_cycles(void)
{
	struct pacer_end first = {
		.heap_live_bytes = 4300000,
		.marked_bytes = 2 * MIB,
		.heap_scan_bytes = 1 * MIB,
		.stack_scan_bytes = 64 * KIB,
		.globals_scan_bytes = 32 * KIB,
		.gc_utilization = 0.25,
	};
	struct pacer_end second = {
		.heap_live_bytes = 4392608,
		.marked_bytes = 5 * MIB / 2,
		.heap_scan_bytes = 2000000 - 96 * KIB,
		.stack_scan_bytes = 64 * KIB,
		.globals_scan_bytes = 32 * KIB,
		.gc_utilization = 0.25,
		.assist_utilization = 0.15,
		.idle_utilization = 0.10,
	};
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	start_cycle(&p, 4000000);
	pacer_cycle_end(&p, &first);
	check(is_near(p.cons_mark, 300000 * 0.25 / (1146880 * 0.75)));
	check_bytes(pacer_expected_scan_bytes(&p), 1146880);
	check_bytes(pacer_goal_bytes(&p), 4292608);
	check(p.runway_bytes - 299999 <= 1);	/* 300,000, less a rounding error */
	check(pacer_trigger_bytes(&p) - 3992608 <= 1);
	check_bytes(p.last_goal_bytes, 4 * MIB);

	start_cycle(&p, pacer_trigger_bytes(&p));
	pacer_cycle_end(&p, &second);
	check(fabs(p.cons_mark - 1 / 6.0) < 1e-6);
	check_bytes(pacer_goal_bytes(&p), 5341184);
	check_bytes(pacer_trigger_bytes(&p), 4533760);
	check_bytes(p.last_goal_bytes, 4292608);
	result("two cycles by hand");
}

/*
 * With 1 MiB allocated and 3 MiB scanned a cycle, cons/mark is 1/3 · 0.25/0.75 = 1/9.  Then one
 * cycle allocates four times as much (4/9), and it counts for that cycle and the next four.
 */
static void test_history(void)
{
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	for (int i = 0; i < 6; i++)
		whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	check(is_near(p.cons_mark, 1 / 9.0));
	whole_cycle(&p, 20 * MIB, 24 * MIB, 12 * MIB, 3 * MIB);
	check(is_near(p.cons_mark, 4 / 9.0));
	for (int i = 0; i < PACER_CONS_MARK_HISTORY; i++) {
		whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
		check(is_near(p.cons_mark, 4 / 9.0));
	}
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	check(is_near(p.cons_mark, 1 / 9.0));
	result("the greatest cons/mark of five cycles counts");
}

static void test_no_measurement(void)
{
	struct pacer_end forced = {
		.heap_live_bytes = 90 * MIB,
		.marked_bytes = 12 * MIB,
		.heap_scan_bytes = 1 * MIB,
		.gc_utilization = 0.25,
		.forced = true,
	};
	struct pacer_end free_of_charge = forced, odd;
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	check(is_near(p.cons_mark, 1 / 9.0));
	whole_cycle(&p, 20 * MIB, 20 * MIB, 12 * MIB, 3 * MIB);	/* nothing allocated */
	whole_cycle(&p, 20 * MIB, 19 * MIB, 12 * MIB, 3 * MIB);	/* less than nothing */
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 0);		/* nothing scanned */
	start_cycle(&p, 20 * MIB);
	pacer_cycle_end(&p, &forced);
	free_of_charge.forced = false;
	free_of_charge.gc_utilization = 0;
	start_cycle(&p, 20 * MIB);
	pacer_cycle_end(&p, &free_of_charge);
	check(is_near(p.cons_mark, 1 / 9.0));
	check(is_near(p.cons_mark_history[PACER_CONS_MARK_HISTORY - 1], 1 / 9.0));
	check(p.cons_mark_history[0] == 0);	/* none of them has moved it along */

	/* An end without a start is not measured either, but what it found is taken. */
	odd = forced;
	odd.forced = false;
	odd.marked_bytes = 13 * MIB;
	pacer_cycle_end(&p, &odd);
	check(is_near(p.cons_mark, 1 / 9.0));
	check_bytes(p.marked_bytes, 13 * MIB);

	/* A NaN counts as nothing: 1 MiB · 0.25 / (1 MiB · 0.75). */
	odd.heap_live_bytes = 21 * MIB;
	odd.assist_utilization = NAN;
	odd.idle_utilization = NAN;
	start_cycle(&p, 20 * MIB);
	pacer_cycle_end(&p, &odd);
	check(is_near(p.cons_mark, 1 / 3.0));

	/* Mutators that got no CPU: 1 / 0.001 is as bad as it gets. */
	odd.gc_utilization = 1;
	start_cycle(&p, 20 * MIB);
	pacer_cycle_end(&p, &odd);
	check(is_near(p.cons_mark, 1000));
	result("cycles that measure nothing leave cons/mark alone");
}

/* ------------------------------------------------------------------------------------------ */
/* Trigger                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static void test_trigger_bounds(void)
{
	struct pacer p;

	/*
	 * 3 MiB marked, goal 6 MiB.  Nothing allocated, so no runway: 61/64 of the way.
	 * 3 MiB · 61/64 = 49,152 · 61.
	 */
	pacer_of(&p, 100, PACER_NO_LIMIT);
	whole_cycle(&p, 0, 0, 3 * MIB, 1 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 3 * MIB + 49152 * 61);

	/* A runway of 100 MiB (1 MiB allocated for 10 KiB scanned, 1 MiB to be scanned): 45/64. */
	whole_cycle(&p, 1 * MIB, 2 * MIB, 3 * MIB, 10 * KIB);
	whole_cycle(&p, 0, 0, 3 * MIB, 1 * MIB);
	check(p.runway_bytes > 100 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 3 * MIB + 49152 * 45);

	/* A large heap: 61/64 of 1 GiB would give up 48 MiB; it has 4 MiB. */
	pacer_of(&p, 100, PACER_NO_LIMIT);
	whole_cycle(&p, 0, 0, 1 * GIB, 1 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 2 * GIB - 4 * MIB);

	/* Unless the runway is longer: cons/mark 1/9, 240 MiB to scan, 1/9 · 3 · 240 = 80. */
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	whole_cycle(&p, 0, 0, 1 * GIB, 240 * MIB);
	check(is_near((double)p.runway_bytes, 80.0 * MIB));
	check_bytes(pacer_trigger_bytes(&p), 2 * GIB - p.runway_bytes);

	/* Sweeping has its room even where 45/64 of the way is less: GOGC 10 of 4 MiB is 0.4. */
	pacer_of(&p, 10, PACER_NO_LIMIT);
	whole_cycle(&p, 0, 0, 4 * MIB, 0);
	check_bytes(pacer_goal_bytes(&p), 5 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 5 * MIB);

	/* Off is off. */
	pacer_of(&p, -1, PACER_NO_LIMIT);
	check_bytes(pacer_trigger_bytes(&p), PACER_NEVER);
	whole_cycle(&p, 100, 200, 50, 50);
	check_bytes(pacer_trigger_bytes(&p), PACER_NEVER);
	result("bounds of the trigger");
}

static void test_configure(void)
{
	struct pacer_config config = config_of(200, PACER_NO_LIMIT);
	struct pacer_memory memory = { .mapped_bytes = 30 * MIB };
	double before;
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	check_bytes(pacer_goal_bytes(&p), 24 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 23 * MIB);	/* runway 1 MiB: 61/64 is 23.4 */
	pacer_configure(&p, &config);
	check_bytes(pacer_goal_bytes(&p), 36 * MIB);
	check_bytes(pacer_trigger_bytes(&p), 35 * MIB - 128 * KIB);	/* 12 + 24 · 61/64 */
	result("configuration takes effect between cycles");

	/* In a cycle the assist ratio follows: (3 MiB − 1 MiB) / (36 − 35) and / (48 − 35). */
	start_cycle(&p, 34 * MIB);
	before = pacer_revise(&p, 35 * MIB, 1 * MIB, 30 * MIB);
	check(is_near(before, 2));
	config.gc_percent = 300;
	pacer_configure(&p, &config);
	check(is_near(p.assist_ratio, 2 / 13.0));

	/* A limit of 20 MiB: the heap is past 1.1 · 19; all that could be left is owed at once. */
	config.memory_limit_bytes = 20 * MIB;
	pacer_configure(&p, &config);
	check_bytes(pacer_goal_bytes(&p), 19 * MIB);
	check(is_near(p.assist_ratio, 29 * MIB));
	check(p.marking);

	/* 60 MiB: goal 24·2 is 48 again; but if 30 of the 60 are not heap, it is 30 − 1, · 1.1. */
	config.memory_limit_bytes = 60 * MIB;
	pacer_configure(&p, &config);
	check(is_near(p.assist_ratio, 2 / 13.0));
	pacer_set_memory(&p, &memory);
	check_bytes(pacer_goal_bytes(&p), 29 * MIB);
	check(is_near(p.assist_ratio, 29 * MIB));
	pacer_revise(&p, 30 * MIB, 1 * MIB, 30 * MIB);
	check(is_near(p.assist_ratio, 29 / 1.9));
	result("configuration takes effect in a cycle");

	/* Zeros become what can be worked with. */
	config = (struct pacer_config){ 0 };
	pacer_init(&p, &config);
	check(p.config.procs == 1);
	check_bytes(pacer_goal_bytes(&p), 0);
	result("a configuration of zeros");
}

/* ------------------------------------------------------------------------------------------ */
/* Assists                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/*
 * marked 12 MiB, so goal 24 MiB; 3 MiB were scanned and are expected; the runway is 1 MiB, and the
 * cycle starts at 23 MiB.
 */
static void start_known(struct pacer *p, int32_t gc_percent)
{
	pacer_of(p, gc_percent, PACER_NO_LIMIT);
	whole_cycle(p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	start_cycle(p, 23 * MIB);
}

static void test_assist(void)
{
	struct pacer p;

	/* Under the goal: 3 MiB to scan in 1 MiB of allocation; half of both done: the same. */
	start_known(&p, 100);
	check(is_near(p.assist_ratio, 3));
	check(is_near(pacer_revise(&p, 23 * MIB + 512 * KIB, 3 * MIB / 2, 20 * MIB), 3));
	/* All allocated and nothing scanned: as much as there is, for one byte. */
	check(is_near(pacer_revise(&p, 24 * MIB, 0, 20 * MIB), 3 * MIB));
	/* All scanned and nothing allocated: 1000 bytes are always left. */
	check(is_near(pacer_revise(&p, 23 * MIB, 3 * MIB, 20 * MIB), 1000.0 / MIB));

	/*
	 * 4 MiB scanned of 3: the heap grows.  At worst 12 MiB are to be scanned, 4 times the 3
	 * that 1 MiB was planned for, so the goal is 23 + 4 · 1 = 27 MiB.  Live are 24, left to
	 * scan 12 − 4: 8/3.
	 */
	check(is_near(pacer_revise(&p, 24 * MIB, 4 * MIB, 12 * MIB), 8 / 3.0));

	/* At worst 300 MiB: 23 + 100 would be 123, but the hard goal is 2 · 24 = 48: 296/24. */
	check(is_near(pacer_revise(&p, 24 * MIB, 4 * MIB, 300 * MIB), 296 / 24.0));

	/* Past the extrapolated goal of 27: a tenth more, 29.7, of which 0.7 are left for 8. */
	check(is_near(pacer_revise(&p, 29 * MIB, 4 * MIB, 12 * MIB), 8 / 0.7));

	/* Past the goal without more work than expected: 26.4, and the worst case is assumed. */
	check(is_near(pacer_revise(&p, 25 * MIB, 2 * MIB, 20 * MIB), 18 / 1.4));

	/* Past everything. */
	check(is_near(pacer_revise(&p, 90 * MIB, 4 * MIB, 12 * MIB), 8 * MIB));

	/* Not told what could be left: the live heap is. */
	check(is_near(pacer_revise(&p, 25 * MIB, 2 * MIB, 0), 23 / 1.4));
	result("assist ratio");
}

static void test_hard_goal(void)
{
	struct pacer p;

	/* GOGC 50: goal 18 MiB, hard goal 27; started at 17.  To scan at worst 100 MiB. */
	pacer_of(&p, 50, PACER_NO_LIMIT);
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	start_cycle(&p, 17 * MIB);
	check_bytes(pacer_goal_bytes(&p), 18 * MIB);
	check(is_near(pacer_revise(&p, 18 * MIB, 4 * MIB, 100 * MIB), 96 / 9.0));
	/* At the hard goal: 1 byte left. */
	check(is_near(pacer_revise(&p, 27 * MIB, 4 * MIB, 100 * MIB), 96.0 * MIB));
	/* Past it: 29.7, of which 1.7 are left. */
	check(is_near(pacer_revise(&p, 28 * MIB, 4 * MIB, 100 * MIB), 96 / 1.7));
	result("hard goal");

	/* GOGC off, cycle forced: no goal, so nobody owes anything to speak of. */
	pacer_of(&p, -1, PACER_NO_LIMIT);
	start_cycle(&p, 100 * MIB);
	check(pacer_revise(&p, 100 * MIB, 0, 100 * MIB) < 1e-9);
	check(pacer_revise(&p, 101 * MIB, 50 * MIB, 100 * MIB) < 1e-9);

	/* With a limit, the limit's goal counts, and it is the hard goal 1001 times over. */
	pacer_of(&p, -1, 1000 * MIB);
	whole_cycle(&p, 20 * MIB, 21 * MIB, 12 * MIB, 3 * MIB);
	start_cycle(&p, 960 * MIB);
	check(is_near(pacer_revise(&p, 960 * MIB, 1 * MIB, 900 * MIB), 2 / 10.0));
	check(is_near(pacer_revise(&p, 960 * MIB, 4 * MIB, 900 * MIB), 896 / 3000.0));
	result("forced cycles with GOGC off");
}

/* Roots that are known when a cycle starts are expected to be scanned in it. */
static void test_globals_at_start(void)
{
	struct pacer_start s = { .heap_live_bytes = 4 * MIB - 128 * KIB,
				 .globals_scan_bytes = 256 * KIB };
	struct pacer p;

	pacer_of(&p, 100, PACER_NO_LIMIT);
	pacer_cycle_start(&p, &s);
	check_bytes(pacer_expected_scan_bytes(&p), 256 * KIB);
	check(is_near(p.assist_ratio, 2));
	start_cycle(&p, 4 * MIB - 128 * KIB);	/* 0: as it was */
	check_bytes(pacer_expected_scan_bytes(&p), 256 * KIB);
	result("globals known at the start");
}

/* ------------------------------------------------------------------------------------------ */
/* Workers and the clock                                                                      */
/* ------------------------------------------------------------------------------------------ */

static void test_periodic(void)
{
	const uint64_t second = 1000000000;

	check(!pacer_periodic_due(5 * second, 5 * second));
	check(!pacer_periodic_due(5 * second, 125 * second - 1));
	check(pacer_periodic_due(5 * second, 125 * second));
	check(pacer_periodic_due(5 * second, UINT64_MAX));
	check(!pacer_periodic_due(125 * second, 5 * second));	/* the clock went back */
	check(!pacer_periodic_due(0, 125 * second));		/* no cycle yet */
	result("two minutes");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(13);
	test_first_cycle();
	test_two_cycles();
	test_history();
	test_no_measurement();
	test_trigger_bounds();
	test_configure();
	test_assist();
	test_hard_goal();
	test_globals_at_start();
	test_periodic();
	ksft_finished();
}
