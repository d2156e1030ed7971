// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * latency.c - times, in classes of a thirty-second of a doubling
 *
 * Times below LATENCY_STEPS ns have a class each.  Above that, the number of the class is made of
 * the place of the highest bit and of the five bits below it.
 */
#include "common/latency.h"

#define STEP_BITS 5u

static uint32_t class_of(uint64_t ns)
{
	uint32_t high, class;

	if (ns < LATENCY_STEPS)
		return (uint32_t)ns;
	high = 63 - (uint32_t)__builtin_clzll(ns);
	class = (high - STEP_BITS + 1) * LATENCY_STEPS +
		((uint32_t)(ns >> (high - STEP_BITS)) & (LATENCY_STEPS - 1));
	return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

/* The longest time of a class. */
static uint64_t top_of(uint32_t class)
{
	uint32_t shift;

	if (class < LATENCY_STEPS)
		return class;
	shift = class / LATENCY_STEPS - 1;
	return ((uint64_t)(class % LATENCY_STEPS + LATENCY_STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->count++;
	latency->seen[class_of(ns)]++;
	if (ns > latency->max_ns)
		latency->max_ns = ns;
}

void latency_join(struct latency *sum, const struct latency *part)
{
	sum->count += part->count;
	if (part->max_ns > sum->max_ns)
		sum->max_ns = part->max_ns;
	for (uint32_t i = 0; i < LATENCY_CLASSES; i++)
		sum->seen[i] += part->seen[i];
}

uint64_t latency_at(const struct latency *latency, uint32_t per_mille)
{
	uint64_t below = 0, want = (latency->count * per_mille + 999) / 1000;

	for (uint32_t i = 0; i < LATENCY_CLASSES; i++) {
		below += latency->seen[i];
		if (below >= want && below)
			return top_of(i) < latency->max_ns ? top_of(i) : latency->max_ns;
	}
	return latency->max_ns;
}
