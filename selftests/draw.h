/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * draw.h - the clock, and numbers at random that a seed gives again
 */
#ifndef TRICOLOR_SELFTESTS_DRAW_H
#define TRICOLOR_SELFTESTS_DRAW_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* xorshift64*: never a state of 0.  As far as threads allow the same run for the same seed. */
static inline uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline uint64_t draw_below(uint64_t *state, uint64_t n)
{
	return (draw(state) >> 11) % n;
}

/* SEED in the environment repeats a run: to be printed by the caller. */
static inline uint64_t seed_from_environment(void)
{
	const char *e = getenv("SEED");
	uint64_t seed = e ? strtoull(e, NULL, 0) : now_ns() | 1;

	return seed ? seed : 1;
}

#endif
