// SPDX-License-Identifier: GPL-2.0-only
#include "latency.h"

void latency_add(struct latency *to, const struct latency *from)
{
	for (unsigned int i = 0; i < LATENCY_BUCKETS; i++)
		to->count[i] += from->count[i];
	to->total += from->total;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
}

static uint64_t bucket_end_ns(unsigned int bucket)
{
	unsigned int shift = bucket < 64 ? 0 : (bucket >> 5) - 1;

	return ((uint64_t)(bucket - (shift << 5) + 1) << shift) - 1;
}

uint64_t latency_exceeded_ns(const struct latency *latency, uint64_t one_in)
{
	uint64_t above = 0;

	for (unsigned int i = LATENCY_BUCKETS; i-- > 0;) {
		above += latency->count[i];
		if (above > latency->total / one_in)
			return bucket_end_ns(i) < latency->max_ns ? bucket_end_ns(i) :
								    latency->max_ns;
	}
	return 0;
}
