// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * timing.c - how long entries took to be allocated
 *
 * Whatever holds a thread up in an allocation is in these times: marking for the collector, waits
 * for it, and CPUs that others had.  Each thread counts its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/latency.h"
#include "kvcache.h"

struct times {
	struct times *next;
	struct latency latency;
};

static struct times *_Atomic all;
/* Not an object of the collected heap. */
static _Thread_local struct times *own;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t timing_begin(void)
{
	return config->timing ? now_ns() : 0;
}

void timing_end(uint64_t began_ns)
{
	uint64_t took_ns = began_ns ? now_ns() - began_ns : 0;

	if (!began_ns)
		return;
	if (!own) {
		own = calloc(1, sizeof(*own));
		if (!own) {
			fprintf(stderr, "kvcache: no memory for --timing\n");
			exit(1);
		}
		own->next = all;
		while (!atomic_compare_exchange_weak(&all, &own->next, own))
			;
	}
	latency_add(&own->latency, took_ns);
}

void timing_report(void)
{
	struct tri_stats stats = { .size = sizeof(stats) };
	static struct latency sum;

	if (!config->timing)
		return;
	for (struct times *times = all; times; times = times->next)
		latency_join(&sum, &times->latency);
	printf("kvcache: %llu entries allocated, us p50 %.1f p99 %.1f p99.9 %.1f max %.1f\n",
	       (unsigned long long)sum.count, (double)latency_at(&sum, 500) / 1e3,
	       (double)latency_at(&sum, 990) / 1e3, (double)latency_at(&sum, 999) / 1e3,
	       (double)sum.max_ns / 1e3);
	if (!tri_read_stats(&stats))
		printf("kvcache: %llu cycles, %llu allocations waited for the kernel's limit, us max %.1f\n",
		       (unsigned long long)stats.cycles, (unsigned long long)stats.throttled,
		       (double)stats.throttled_max_ns / 1e3);
}
