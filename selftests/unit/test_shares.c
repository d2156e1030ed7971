// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_shares.c - parts of arenas for which several nested limits hold
 *
 * usage: test_shares [SEED]	repeats the random part of a run that failed
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/check.h"
#include "draw.h"
#include "daemon/limits/shares.h"

#define MIB	(1ull << 20)
#define ROUNDS	20000
#define MOST	12

static struct shares s;

static void begin(size_t n)
{
	if (!shares_begin(&s, n))
		ksft_exit_fail_msg("no memory\n");
}

static void arena(size_t i, uint64_t live_bytes, double weight)
{
	s.arenas[i].live_bytes = live_bytes;
	s.arenas[i].cap_bytes = BUDGET_NO_CAP;
	s.arenas[i].weight = weight;
}

/* The next call is about arenas @from … @to - 1. */
static void about(size_t from, size_t to)
{
	for (s.nselected = 0; from < to; from++)
		s.selected[s.nselected++] = from;
}

static uint64_t sum(const uint64_t *share, size_t from, size_t to)
{
	uint64_t total = 0;

	for (; from < to; from++)
		total += share ? share[from] : s.arenas[from].want_bytes;
	return total;
}

static bool near(uint64_t a, uint64_t b)
{
	return a <= b && b - a <= 8;
}

/* What an inner limit denies an arena, its neighbours in the outer one have. */
static void test_inner(void)
{
	begin(3);
	arena(0, 10 * MIB, 1);
	arena(1, 10 * MIB, 1);
	arena(2, 10 * MIB, 1);
	about(0, 1);
	check(shares_wanted(&s) == UINT64_MAX);
	shares_limit(&s, 50 * MIB);
	check(near(shares_wanted(&s), 50 * MIB));
	about(0, 3);
	check(shares_wanted(&s) == UINT64_MAX);
	shares_limit(&s, 300 * MIB);
	check(near(s.arenas[0].want_bytes, 50 * MIB) && near(s.arenas[1].want_bytes, 125 * MIB) &&
	      near(s.arenas[2].want_bytes, 125 * MIB));
	shares_free(&s);
	result("the rest of an inner limit");
}

/* The outer one is larger, but something else fills it. */
static void test_outer(void)
{
	begin(2);
	arena(0, 10 * MIB, 1);
	arena(1, 10 * MIB, 1);
	about(0, 2);
	shares_limit(&s, 400 * MIB);
	shares_settle(&s, 400 * MIB);
	check(near(s.share_bytes[0], 200 * MIB) && near(s.share_bytes[1], 200 * MIB));
	shares_limit(&s, 60 * MIB);
	check(near(s.arenas[0].want_bytes, 30 * MIB) && near(s.arenas[1].want_bytes, 30 * MIB));
	shares_settle(&s, 60 * MIB);
	check(near(s.share_bytes[0], 30 * MIB) && near(s.share_bytes[1], 30 * MIB));
	/* Nothing is left at all. */
	shares_limit(&s, 0);
	shares_settle(&s, 0);
	check(!s.share_bytes[0] && !s.share_bytes[1]);
	shares_free(&s);
	result("an outer limit with less room");
}

/* Nested limits of any size: each is kept, by what is wanted and by what arenas have. */
static void test_nested(uint64_t seed)
{
	uint64_t random_state = seed;
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		size_t n = 1 + draw(&random_state) % MOST, levels, to[3], i;
		uint64_t room[3];

		begin(n);
		for (i = 0; i < n; i++) {
			arena(i, draw(&random_state) >> (24 + draw(&random_state) % 40),
			      (double)(draw(&random_state) % 1000));
			s.arenas[i].bound_bytes = draw(&random_state) >>
						  (24 + draw(&random_state) % 40);
			if (draw(&random_state) % 2)
				s.arenas[i].cap_bytes = draw(&random_state) >> 34;
			s.share_bytes[i] = draw(&random_state) >> 30;
		}
		levels = 1 + draw(&random_state) % 3;
		for (i = 0; i < levels; i++) {
			to[i] = 1 + draw(&random_state) % n;
			if (i && to[i] < to[i - 1])
				to[i] = to[i - 1];
			room[i] = draw(&random_state) >> (24 + draw(&random_state) % 30);
			about(0, to[i]);
			shares_limit(&s, room[i]);
		}
		for (i = 0; i < levels; i++) {
			about(0, to[i]);
			shares_settle(&s, room[i]);
		}
		for (i = 0; i < levels; i++) {
			check(sum(NULL, 0, to[i]) <= room[i]);
			check(sum(s.share_bytes, 0, to[i]) <= room[i]);
		}
		for (i = to[levels - 1]; i < n; i++)
			check(s.arenas[i].want_bytes == UINT64_MAX);
		shares_free(&s);
		if (check_failures) {
			ksft_print_msg("round %u\n", round);
			break;
		}
	}
	result("nested limits are kept");
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 20 | 1;

	ksft_print_header();
	ksft_print_msg("seed %#llx\n", (unsigned long long)seed);
	ksft_set_plan(3);
	test_inner();
	test_outer();
	test_nested(seed);
	ksft_finished();
}
