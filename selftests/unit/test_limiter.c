/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_limiter.c - the bucket of collector CPU time
 *
 * usage: test_limiter [SEED]	repeats the random part of a run that failed
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/check.h"
#include "draw.h"
#include "daemon/heap/limiter.h"

#define MS	1000000ull	/* in nanoseconds */
#define SECOND	(1000 * MS)

/* Ten CPUs: a bucket of ten CPU-seconds.  In all tests time begins at 5 s. */
static struct limiter ten_cpus(void)
{
	struct limiter l;

	limiter_init(&l, 10000, 5 * SECOND);
	check(l.capacity_cpu_ns == 10 * SECOND);
	check(!limiter_limiting(&l));
	return l;
}

/* Marking takes 25 % of 10 CPUs: 2.5 CPU-seconds a second, against 7.5 of the program. */
static void test_marking_alone(void)
{
	struct limiter l = ten_cpus();

	for (uint64_t s = 6; s < 600; s++) {
		limiter_add_assist(&l, 2500 * MS);
		limiter_update(&l, s * SECOND);
	}
	check(l.fill_cpu_ns == 0);
	check(!limiter_limiting(&l));
	check(l.engaged == 0);
	result("marking alone never limits");
}

/*
 * With 6 CPU-seconds a second for the collector there are 4 for the program, so there are 2 more in
 * the bucket each second.  After 5 seconds it is full, and of a sixth it takes 0.1.  Then marking
 * ends: all 10 CPUs drain it, and it goes no lower than empty.
 */
static void test_fill_and_drain(void)
{
	struct limiter l = ten_cpus();

	for (uint64_t s = 6; s <= 10; s++) {
		check(!limiter_limiting(&l));
		limiter_add_assist(&l, 6 * SECOND);
		limiter_update(&l, s * SECOND);
		check(l.fill_cpu_ns == (s - 5) * 2 * SECOND);
	}
	check(limiter_limiting(&l));
	check(l.engaged == 1);
	check(l.overflow_cpu_ns == 0);

	limiter_add_assist(&l, 6 * SECOND);
	limiter_update(&l, 11 * SECOND);
	check(limiter_limiting(&l));
	check(l.fill_cpu_ns == 10100 * MS);
	check(l.overflow_cpu_ns == 1900 * MS);
	check(l.engaged == 1);

	limiter_update(&l, 11 * SECOND + 10 * MS);
	check(l.fill_cpu_ns == 10 * SECOND);
	check(limiter_limiting(&l));
	limiter_update(&l, 11 * SECOND + 11 * MS);
	check(l.fill_cpu_ns == 9990 * MS);
	check(!limiter_limiting(&l));
	limiter_update(&l, 13 * SECOND);
	check(l.fill_cpu_ns == 0);
	limiter_update(&l, 100 * SECOND);
	check(l.fill_cpu_ns == 0);
	result("the bucket fills, overflows and drains");
}

/* Half and half changes nothing: 5 CPU-seconds a second for each. */
static void test_half(void)
{
	struct limiter l = ten_cpus();

	limiter_add_assist(&l, 10 * SECOND);
	limiter_update(&l, 6 * SECOND);
	check(limiter_limiting(&l));
	for (uint64_t s = 7; s < 20; s++) {
		limiter_add_assist(&l, 5 * SECOND);
		limiter_update(&l, s * SECOND);
		check(l.fill_cpu_ns == 10 * SECOND);
	}
	check(limiter_limiting(&l));
	check(l.overflow_cpu_ns == 0);

	/* A hair less, and it lets go. */
	limiter_add_assist(&l, 5 * SECOND - 1);
	limiter_update(&l, 20 * SECOND);
	check(!limiter_limiting(&l));
	check(l.fill_cpu_ns == 10 * SECOND - 2);
	result("half and half changes nothing");
}

/*
 * A program that wants one CPU of ten, and whose collector marks all the time.  Of 10 CPU-seconds
 * 6.5 are idle, 2.5 are marking, 1 is the program's.  The bucket gains 1.5 a second.
 */
static void test_idle(void)
{
	struct limiter l = ten_cpus();

	limiter_add_assist(&l, 2500 * MS);
	limiter_add_idle(&l, 6500 * MS);
	limiter_update(&l, 6 * SECOND);
	check(l.fill_cpu_ns == 1500 * MS);

	/* More idle time than there was time: the program had nothing, and the rest is dropped. */
	limiter_add_assist(&l, 2500 * MS);
	limiter_add_idle(&l, 60 * SECOND);
	limiter_update(&l, 7 * SECOND);
	check(l.fill_cpu_ns == 4 * SECOND);

	/* Marking goes on for 0.1 s, which with all of it idle is 0.25 more; and not after. */
	limiter_add_assist(&l, 250 * MS);
	limiter_add_idle(&l, 1 * SECOND);
	limiter_update(&l, 7 * SECOND + 100 * MS);
	check(l.fill_cpu_ns == 4250 * MS);
	limiter_update(&l, 7 * SECOND + 200 * MS);
	check(l.fill_cpu_ns == 3250 * MS);
	result("idle time is not the program's");
}

/* A quota of half a CPU: a bucket of half a CPU-second, full after half a second over 50 %. */
static void test_quota(void)
{
	struct limiter l;

	limiter_init(&l, 500, 0);
	check(l.capacity_cpu_ns == 500 * MS);
	limiter_add_assist(&l, 500 * MS);	/* one second: all of it */
	limiter_update(&l, 1 * SECOND);
	check(limiter_limiting(&l));

	/* Twice the quota: the same time in it leaves room. */
	limiter_set_cpus(&l, 1000, 1 * SECOND);
	check(!limiter_limiting(&l));
	check(l.fill_cpu_ns == 500 * MS);
	check(l.engaged == 1);

	/* A tenth of the quota: full, and what does not fit is gone. */
	limiter_set_cpus(&l, 100, 1 * SECOND);
	check(limiter_limiting(&l));
	check(l.fill_cpu_ns == 101 * MS);
	check(l.engaged == 2);
	limiter_set_cpus(&l, 50, 1 * SECOND);
	check(l.engaged == 2);

	/* The time up to a change counts with the CPUs of that time: 50.5 − 0.05 · 100 ms. */
	check(l.fill_cpu_ns == 50500000);
	limiter_set_cpus(&l, 8000, 1100 * MS);
	check(l.fill_cpu_ns == 45500000);

	limiter_init(&l, 0, 0);
	check(l.cpu_milli == 1);
	check(!limiter_limiting(&l));
	result("a quota of less than a CPU");
}

static void test_stale(void)
{
	struct limiter l = ten_cpus();

	check(!limiter_stale(&l, 5 * SECOND));
	check(!limiter_stale(&l, 5 * SECOND + 10 * MS));
	check(limiter_stale(&l, 5 * SECOND + 10 * MS + 1));
	check(!limiter_stale(&l, 4 * SECOND));
	limiter_update(&l, 6 * SECOND);
	check(!limiter_stale(&l, 6 * SECOND));
	result("stale after 10 ms");
}

/* A clock that goes back loses no time that was reported. */
static void test_clock_back(void)
{
	struct limiter l = ten_cpus();

	limiter_add_assist(&l, 8 * SECOND);
	limiter_update(&l, 4 * SECOND);
	check(l.fill_cpu_ns == 0);
	check(l.updated_ns == 5 * SECOND);
	limiter_update(&l, 6 * SECOND);
	check(l.fill_cpu_ns == 6 * SECOND);	/* 8 against 2 */
	result("a clock that goes back");
}

/*
 * A heap that does not fit: the collector would take everything.  Assists are asked for only while
 * the limiter allows it, looked at every 10 ms.  In a minute the collector gets half, and once what
 * is in the bucket at the end: that is as much more than the program's.
 */
static void test_closed_loop(void)
{
	struct limiter l;
	uint64_t collector = 0, total = 0;

	limiter_init(&l, 8000, 0);
	for (uint64_t now = 10 * MS; now <= 60 * SECOND; now += 10 * MS) {
		uint64_t window = 80 * MS;
		uint64_t assists = limiter_limiting(&l) ? 0 : window * 3 / 4;

		limiter_add_assist(&l, assists + window / 4);
		limiter_update(&l, now);
		collector += assists + window / 4;
		total += window;
	}
	check(l.overflow_cpu_ns == 0);
	check(collector == (total + l.fill_cpu_ns) / 2);
	ksft_print_msg("collector's share of a minute without a way out: %.1f %%\n",
		       100 * (double)collector / (double)total);
	result("the collector gets half and a burst");
}

static uint64_t random_state;

static uint64_t random_u64(void)
{
	return draw(&random_state);
}

static uint64_t random_ns(void)
{
	uint64_t r = random_u64();

	return r % 8 == 0 ? UINT64_MAX : random_u64() >> (r >> 8) % 64;
}

static void random_call(struct limiter *l, uint64_t now_ns)
{
	switch (random_u64() % 6) {
	case 0:
		limiter_set_cpus(l, (uint32_t)random_ns(), now_ns);
		break;
	case 1:
		limiter_add_assist(l, random_ns());
		break;
	case 2:
		limiter_add_idle(l, random_ns());
		break;
	default:
		limiter_update(l, now_ns);
	}
}

static void test_anything(uint64_t seed)
{
	random_state = seed;
	for (int i = 0; i < 2000 && !check_failures; i++) {
		struct limiter l;

		limiter_init(&l, (uint32_t)random_ns(), random_ns());
		for (int j = 0; j < 200 && !check_failures; j++) {
			uint64_t overflow = l.overflow_cpu_ns, updated = l.updated_ns;

			random_call(&l, random_ns());
			check(l.fill_cpu_ns <= l.capacity_cpu_ns + l.capacity_cpu_ns / 100);
			check(l.capacity_cpu_ns > 0);
			check(l.overflow_cpu_ns >= overflow);
			check(l.updated_ns >= updated);
			check(limiter_limiting(&l) == (l.fill_cpu_ns >= l.capacity_cpu_ns));
			if (check_failures)
				ksft_print_msg("%d, %d; again with: test_limiter %llu\n", i, j,
					       (unsigned long long)seed);
		}
	}
	result("no input breaks the bucket");
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 16 | 1;

	ksft_print_header();
	ksft_set_plan(9);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	test_marking_alone();
	test_fill_and_drain();
	test_half();
	test_idle();
	test_quota();
	test_stale();
	test_clock_back();
	test_closed_loop();
	test_anything(seed ?: 1);
	ksft_finished();
}
