/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* latency.h - a histogram of times */
#ifndef EXAMPLES_LATENCY_H
#define EXAMPLES_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS	32u
#define LATENCY_CLASSES	(LATENCY_STEPS * 40)

/* A histogram of times.  One thread writes it. */
struct latency {
	uint64_t count;
	uint64_t max_ns;
	uint64_t seen[LATENCY_CLASSES];
};

void latency_add(struct latency *latency, uint64_t ns);
void latency_join(struct latency *sum, const struct latency *part);
/* The time that @per_mille of 1000 times did not exceed, up to a thirty-second too much. */
uint64_t latency_at(const struct latency *latency, uint32_t per_mille);

#endif
