// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_budget.c - splitting one amount of memory among heaps
 *
 * usage: test_budget [SEED]	repeats the random part of a run that failed
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/limits/budget.h"
#include "lib/check.h"
#include "draw.h"

#define MIB	(1ull << 20)
#define SECOND	1000000000ull
#define ROUNDS	20000
#define MOST	50

static uint64_t random_state, seed;

static uint64_t rnd(void)
{
	return draw(&random_state);
}

/* Of any magnitude up to 2^@bits. */
static uint64_t rnd_size(unsigned int bits)
{
	return rnd() >> (64 - 1 - rnd() % bits);
}

static uint64_t sum(const struct budget_arena *a, size_t n)
{
	uint64_t total = 0;

	while (n--)
		total += a[n].want_bytes;
	return total;
}

static bool near(double a, double b, double tolerance)
{
	return fabs(a - b) <= tolerance;
}

static void test_rule(void)
{
	/* Four times the rate at the same price of a cycle: twice the room. */
	struct budget_arena a[2] = {
		{ .live_bytes = 100 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1 },
		{ .live_bytes = 50 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 2 },
	};
	struct budget_pace slow = { 0 }, fast = { 0 };

	budget_split(a, 2, 450 * MIB);
	check(near((double)a[0].want_bytes, 200.0 * MIB, 8));
	check(near((double)a[1].want_bytes, 250.0 * MIB, 8));
	check(sum(a, 2) <= 450 * MIB && sum(a, 2) > 450 * MIB - 16);

	budget_note_allocation(&slow, 100 * MIB, SECOND);
	budget_note_allocation(&fast, 400 * MIB, SECOND);
	budget_note_cycle(&slow, 100 * MIB, SECOND / 10);
	budget_note_cycle(&fast, 100 * MIB, SECOND / 10);
	check(near(budget_weight(&fast, 60 * MIB) / budget_weight(&slow, 60 * MIB), 2, 1e-9));
	/* Twice the price of a cycle, because twice as much lives or marking is half as fast. */
	check(near(budget_weight(&slow, 80 * MIB) / budget_weight(&slow, 40 * MIB), sqrt(2), 1e-9));
	result("square roots");
}

static void test_smoothing(void)
{
	struct budget_pace p = { 0 }, q = { 0 };

	check(budget_weight(&p, MIB) == 0);
	/* One wild millisecond in a quiet second is a second at 1/1000 of that rate. */
	budget_note_allocation(&p, 100 * MIB, SECOND / 1000);
	budget_note_allocation(&p, 0, SECOND * 999 / 1000);
	budget_note_allocation(&q, 100 * MIB, SECOND);
	check(budget_weight(&p, MIB) < budget_weight(&q, MIB));
	/* A quiet minute, in one piece or in many, and nothing is left of it. */
	q = p;
	budget_note_allocation(&p, 0, 60 * SECOND);
	for (int i = 0; i < 600; i++)
		budget_note_allocation(&q, 0, SECOND / 10);
	check(budget_weight(&p, MIB) < 0.02 * sqrt(100.0 * MIB * MIB / 1e9));
	check(near(p.allocated_bytes, q.allocated_bytes, 1));
	/* A cycle that was interrupted for long does not count for more than its bytes. */
	budget_note_cycle(&p, MIB, SECOND);
	budget_note_cycle(&p, 1000 * MIB, SECOND);
	check(p.marked_bytes / p.marking_cpu_s > 600.0 * MIB);
	result("smoothing");
}

static void test_floors(void)
{
	struct budget_arena a[2] = {
		{ .live_bytes = 10 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1e-6 },
		{ .live_bytes = 300 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1e6 },
	};

	budget_split(a, 2, 400 * MIB);
	check(a[0].want_bytes == 14 * MIB);
	check(near((double)a[1].want_bytes, 386.0 * MIB, 8));
	/* The hog alone is more than there is: the small one does not notice. */
	a[1].live_bytes = 4000 * MIB;
	budget_split(a, 2, 400 * MIB);
	check(a[0].want_bytes == 14 * MIB);
	check(sum(a, 2) <= 400 * MIB && sum(a, 2) > 399 * MIB);
	/* Both are: an equal part each is sure. */
	a[0].live_bytes = 500 * MIB;
	budget_split(a, 2, 400 * MIB);
	check(a[0].want_bytes >= 200 * MIB && a[1].want_bytes >= 200 * MIB - 8);
	/* Nothing to split. */
	budget_split(a, 2, 0);
	check(!a[0].want_bytes && !a[1].want_bytes);
	budget_split(a, 0, MIB);
	result("floors");
}

static void test_caps(void)
{
	struct budget_arena a[3] = {
		{ .live_bytes = 10 * MIB, .cap_bytes = 20 * MIB, .weight = 1 },
		{ .live_bytes = 10 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1 },
		{ .live_bytes = 10 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1 },
	};

	budget_split(a, 3, 120 * MIB);
	check(near((double)a[0].want_bytes, 20.0 * MIB, 8));
	check(near((double)a[1].want_bytes, 50.0 * MIB, 8));
	/* Nobody needs it all: the rest is spread, and no one is below its cap. */
	a[1].cap_bytes = a[2].cap_bytes = 30 * MIB;
	budget_split(a, 3, 140 * MIB);
	check(near((double)a[0].want_bytes, 40.0 * MIB, 8));
	check(near((double)a[2].want_bytes, 50.0 * MIB, 8));
	/* A cap below the floor is none. */
	a[0].cap_bytes = MIB;
	budget_split(a, 3, 50 * MIB);
	check(a[0].want_bytes == 14 * MIB);
	result("caps");
}

static void test_bound(void)
{
	/* The first has little alive in many spans, and nothing to do. */
	struct budget_arena a[2] = {
		{ .live_bytes = 10 * MIB, .bound_bytes = 100 * MIB, .cap_bytes = BUDGET_NO_CAP },
		{ .live_bytes = 50 * MIB, .cap_bytes = BUDGET_NO_CAP, .weight = 1 },
	};

	budget_split(a, 2, 300 * MIB);
	check(near((double)a[0].want_bytes, 95.0 * MIB, 8));
	check(near((double)a[1].want_bytes, 205.0 * MIB, 8));
	/* More than there is: floors stand. */
	a[0].bound_bytes = 1000 * MIB;
	budget_split(a, 2, 300 * MIB);
	check(a[1].want_bytes >= 54 * MIB && sum(a, 2) <= 300 * MIB);
	result("what can't be released");
}

static void test_hysteresis(void)
{
	struct budget_arena a[3] = { 0 };
	uint64_t share[3] = { 100 * MIB, 100 * MIB, 100 * MIB };

	/* Noise. */
	a[0].want_bytes = 101 * MIB;
	a[1].want_bytes = 99 * MIB;
	a[2].want_bytes = 100 * MIB;
	check(!budget_settle(a, 3, 300 * MIB, share));
	check(share[0] == 100 * MIB && share[1] == 100 * MIB);
	/* One gets much; the two that give little each have to give it. */
	a[0].want_bytes = 104 * MIB;
	a[1].want_bytes = a[2].want_bytes = 98 * MIB;
	check(budget_settle(a, 3, 300 * MIB, share) == 3);
	check(share[0] == 104 * MIB && share[1] == 98 * MIB && share[2] == 98 * MIB);
	/* A newcomer has nothing yet, so anything is worth it. */
	share[2] = 0;
	a[2].want_bytes = MIB;
	check(budget_settle(a, 3, 300 * MIB, share) == 1 && share[2] == MIB);
	result("hysteresis");
}

/* CPU that collecting all of them takes, by the model. */
static double cost(const struct budget_arena *a, const uint64_t *m, size_t n)
{
	double total = 0;

	while (n--)
		total += a[n].weight * a[n].weight / ((double)m[n] - (double)a[n].live_bytes);
	return total;
}

/* No move of a byte from one to another makes it cheaper. */
static void test_least_cost(void)
{
	unsigned int tried = 0;

	for (int round = 0; round < 2000; round++) {
		struct budget_arena a[8];
		size_t n = 2 + rnd() % 7, i, from, to;
		uint64_t budget = 0, m[8], equal[8];
		double best;

		for (i = 0; i < n; i++) {
			a[i] = (struct budget_arena){ .live_bytes = 8 * MIB + rnd_size(27),
						      .cap_bytes = BUDGET_NO_CAP,
						      .weight = 1 + (double)(rnd() % 1000) };
			budget += a[i].live_bytes + (64 + rnd() % 64) * MIB;
		}
		budget_split(a, n, budget);
		for (i = 0; i < n; i++) {
			m[i] = a[i].want_bytes;
			equal[i] = a[i].live_bytes + 4 * MIB;
			/* Floors are the business of another test. */
			if (m[i] <= equal[i])
				break;
		}
		if (i < n)
			continue;
		best = cost(a, m, n);
		from = rnd() % n;
		to = (from + 1 + rnd() % (n - 1)) % n;
		m[from] -= MIB / 2;
		m[to] += MIB / 2;
		check(cost(a, m, n) >= best * (1 - 1e-6));
		tried++;
	}
	check(tried > 100);
	result("least cost");
}

static void fill(struct budget_arena *a)
{
	static const double odd[] = { NAN, INFINITY, -1, 0, 1e300 };

	a->live_bytes = rnd() % 16 ? rnd_size(34) : rnd();
	a->bound_bytes = rnd() % 4 ? 0 : rnd() % 8 ? rnd_size(34) : rnd();
	a->cap_bytes = rnd() % 2 ? BUDGET_NO_CAP : rnd() % 8 ? a->live_bytes + rnd_size(34) : rnd();
	a->weight = rnd() % 16 ? (double)rnd_size(40) / 1e6 : odd[rnd() % 5];
	a->want_bytes = rnd();
}

/* Arenas come, go and change; whatever they say, the sum holds and each has its floor. */
static void test_properties(void)
{
	struct budget_arena a[MOST];
	uint64_t share[MOST], budget = 0;
	size_t n = 0, i;

	for (int round = 0; round < ROUNDS && check_failures < 10; round++) {
		unsigned __int128 total = 0, shares = 0;

		if (n < MOST && (!n || rnd() % 3 == 0)) {
			share[n] = 0;
			fill(&a[n++]);
		} else if (rnd() % 4 == 0) {
			i = rnd() % n--;
			a[i] = a[n];
			share[i] = share[n];
		} else {
			fill(&a[rnd() % n]);
		}
		if (!n)
			continue;
		if (rnd() % 4 == 0)
			budget = rnd() % 32 ? rnd_size(38) : rnd();
		budget_split(a, n, budget);
		budget_settle(a, n, budget, share);
		for (i = 0; i < n; i++) {
			uint64_t b = budget < UINT64_MAX >> 16 ? budget : UINT64_MAX >> 16;
			uint64_t live = a[i].live_bytes < UINT64_MAX >> 16 ? a[i].live_bytes :
				       UINT64_MAX >> 16;
			uint64_t least = live + BUDGET_FLOOR_BYTES < b / n ?
					 live + BUDGET_FLOOR_BYTES : b / n;

			/* Rounding takes at most a byte an arena from the largest. */
			check(a[i].want_bytes + MOST >= least - least / (1ull << 40));
			total += a[i].want_bytes;
			shares += share[i];
		}
		check(total <= budget);
		check(shares <= budget);
		if (check_failures)
			ksft_print_msg("round %d, %zu arenas, budget %llu\n", round, n,
				       (unsigned long long)budget);
	}
	result("the sum holds and floors stand, whatever arenas say");
}

/* The same arenas in another order get the same. */
static void test_order(void)
{
	for (int round = 0; round < 2000; round++) {
		struct budget_arena a[MOST], b[MOST];
		size_t n = 1 + rnd() % MOST, i;
		uint64_t budget = rnd_size(38);

		for (i = 0; i < n; i++) {
			fill(&a[i]);
			a[i].live_bytes &= (1ull << 34) - 1;
			b[n - 1 - i] = a[i];
		}
		budget_split(a, n, budget);
		budget_split(b, n, budget);
		for (i = 0; i < n; i++) {
			double x = (double)a[i].want_bytes, y = (double)b[n - 1 - i].want_bytes;

			check(near(x, y, 64 + x * 1e-6));
		}
	}
	result("order does not matter");
}

int main(int argc, char **argv)
{
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 20 | 1;
	random_state = seed;
	ksft_print_header();
	ksft_print_msg("seed %#llx\n", (unsigned long long)seed);
	ksft_set_plan(9);
	test_rule();
	test_smoothing();
	test_floors();
	test_caps();
	test_bound();
	test_hysteresis();
	test_least_cost();
	test_properties();
	test_order();
	ksft_finished();
}
