/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.h - the two clocks, in nanoseconds */
#ifndef TRICOLOR_CLOCK_H
#define TRICOLOR_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* The CPU time of the calling thread. */
static inline uint64_t clock_cpu_ns(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

#endif
