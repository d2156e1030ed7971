// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pacer_random.c - random calls of the pacer: no input makes it return nonsense
 *
 * usage: test_pacer_random [SEED]	repeats a run that failed
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/check.h"
#include "draw.h"
#include "daemon/heap/pacer.h"

#define MIB (1024ull * 1024)

static uint64_t random_state;

static uint64_t random_u64(void)
{
	return draw(&random_state);
}

/* As often an edge as not, and every size of number as often as every other. */
static uint64_t random_bytes(void)
{
	static const uint64_t edges[] = {
		0, 1, 63, 64, 999, 1000, 1 * MIB, 4 * MIB, 1ull << 53, INT64_MAX,
		INT64_MAX + 1ull, UINT64_MAX - 1, UINT64_MAX,
	};
	uint64_t r = random_u64();

	if (r & 1)
		return edges[(r >> 8) % (sizeof(edges) / sizeof(edges[0]))];
	return random_u64() >> (r >> 8) % 64;
}

static double random_share(void)
{
	static const double edges[] = {
		0, -0.0, 0.25, 0.75, 0.9999999, 1, 1.0000001, -1, 1e300, -1e300, 5e-324,
		INFINITY, -INFINITY, NAN,
	};
	uint64_t r = random_u64();

	if (r & 1)
		return edges[(r >> 8) % (sizeof(edges) / sizeof(edges[0]))];
	return (double)(random_u64() >> 11) * 0x1p-53;
}

static struct pacer_memory random_memory(void)
{
	return (struct pacer_memory){ random_bytes(), random_bytes(), random_bytes() };
}

static struct pacer_config random_config(void)
{
	static const int32_t percents[] = {
		-1, 0, 1, 50, 100, 1500, 100000, INT32_MAX, INT32_MIN
	};

	return (struct pacer_config){
		.gc_percent = percents[random_u64() % (sizeof(percents) / sizeof(percents[0]))],
		.memory_limit_bytes = random_u64() & 1 ? PACER_NO_LIMIT : (int64_t)random_bytes(),
		.procs = (uint32_t)random_bytes(),
		.heap_minimum_bytes = random_bytes(),
	};
}

static void random_call(struct pacer *p)
{
	struct pacer_config config = random_config();
	struct pacer_memory memory = random_memory();
	struct pacer_start s = { random_bytes(), random_bytes() };
	struct pacer_end e = {
		.heap_live_bytes = random_bytes(),
		.marked_bytes = random_bytes(),
		.heap_scan_bytes = random_bytes(),
		.stack_scan_bytes = random_bytes(),
		.globals_scan_bytes = random_bytes(),
		.gc_utilization = random_share(),
		.assist_utilization = random_share(),
		.idle_utilization = random_share(),
		.memory = random_memory(),
		.forced = random_u64() % 4 == 0,
	};
	double ratio;

	switch (random_u64() % 8) {
	case 0:
		pacer_configure(p, &config);
		break;
	case 1:
		pacer_set_memory(p, &memory);
		break;
	case 2:
	case 3:
		pacer_cycle_start(p, &s);
		break;
	case 4:
	case 5:
		pacer_cycle_end(p, &e);
		break;
	default:
		ratio = pacer_revise(p, random_bytes(), random_bytes(), random_bytes());
		check(ratio == p->assist_ratio);
	}
}

static void check_invariants(const struct pacer *p)
{
	uint64_t goal = pacer_goal_bytes(p), trigger = pacer_trigger_bytes(p);

	check(trigger <= goal);
	check(goal >= p->marked_bytes);
	check(trigger >= p->marked_bytes);
	check(isfinite(p->assist_ratio) && p->assist_ratio >= 0);
	check(!p->marking || p->assist_ratio > 0);
	check(isfinite(p->cons_mark) && p->cons_mark >= 0);
	for (int i = 0; i < PACER_CONS_MARK_HISTORY; i++)
		check(isfinite(p->cons_mark_history[i]) && p->cons_mark >= 0);
}

static void test_anything(uint64_t seed)
{
	const int pacers = 2000, calls = 200;

	random_state = seed;
	for (int i = 0; i < pacers && !check_failures; i++) {
		struct pacer_config config = random_config();
		struct pacer p;

		pacer_init(&p, &config);
		check_invariants(&p);
		for (int j = 0; j < calls && !check_failures; j++) {
			random_call(&p);
			check_invariants(&p);
			if (check_failures)
				ksft_print_msg("pacer %d, call %d; again with: test_pacer_random %llu\n",
					       i, j, (unsigned long long)seed);
		}
	}
	result("no input gives nonsense");
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 16 | 1;

	ksft_print_header();
	ksft_set_plan(1);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	test_anything(seed ?: 1);
	ksft_finished();
}
