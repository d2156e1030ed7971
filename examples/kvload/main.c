// SPDX-License-Identifier: LGPL-2.1-or-later
/* main.c - run the load, and print its figures */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "kvload.h"

static struct config chosen;
const struct config *config = &chosen;

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void report(const struct results *results, uint64_t took_ns)
{
	const struct latency *latency = &results->latency;
	double seconds = (double)took_ns / 1e9,
	       rate = took_ns ? (double)results->operations / seconds : 0;

	printf("kvload: %llu operations in %.2f s, %.0f/s, %llu hits, %llu misses, %llu refused, "
	       "%llu wrong\n",
	       (unsigned long long)results->operations, seconds, rate,
	       (unsigned long long)results->hits, (unsigned long long)results->misses,
	       (unsigned long long)results->refused, (unsigned long long)results->wrong);
	printf("kvload: latency us p50 %.0f p99 %.0f p99.9 %.0f max %.0f\n",
	       (double)latency_at(latency, 500) / 1e3, (double)latency_at(latency, 990) / 1e3,
	       (double)latency_at(latency, 999) / 1e3, (double)latency->max_ns / 1e3);
}

int main(int argc, char **argv)
{
	static struct results results;
	uint64_t took_ns = 0;
	int err;

	options_parse(argc, argv, &chosen);
	values_init();
	err = drive(&results, &took_ns);
	report(&results, took_ns);
	if (results.wrong)
		return 1;
	return err ? 2 : 0;
}
