/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A histogram of times in ns, 32 buckets a doubling: no figure is off by more than 3 %, and
 * millions of operations take a few KiB.  One a thread; add them up at the end.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 1920

struct latency {
	uint64_t count[LATENCY_BUCKETS];
	uint64_t total;
	uint64_t max_ns;	/* exact */
};

static inline void latency_note(struct latency *latency, uint64_t ns)
{
	unsigned int shift = ns < 64 ? 0 : 58 - (unsigned int)__builtin_clzll(ns);

	latency->count[(shift << 5) + (ns >> shift)]++;
	latency->total++;
	if (ns > latency->max_ns)
		latency->max_ns = ns;
}

void latency_add(struct latency *to, const struct latency *from);

/* The time that one in @one_in is above of. */
uint64_t latency_exceeded_ns(const struct latency *latency, uint64_t one_in);

#endif
