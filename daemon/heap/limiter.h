/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limiter.h - keep collection from taking the program's CPU time over
 *
 * A heap that does not fit its limit would be collected all the time.  The limiter is a bucket of
 * CPU time: the collector's time fills it, the program's time drains it, one for one, so that a
 * full bucket means that for a while the collector has had more than half.  While it is full the
 * limit gives way: cycles start by GOGC alone, nobody assists, and the program goes on (limit.c).
 * What is above the limit is released all the same.
 *
 * The bucket holds one second for each CPU: a burst that long is let pass.  It is never less than
 * empty: an idle day gives no right to a bad minute.
 *
 * Numbers in, numbers out, as pacer.h; any value of any argument is harmless.
 */
#ifndef TRICOLOR_LIMITER_H
#define TRICOLOR_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

/* An answer older than this is worth an update before it is relied on. */
#define LIMITER_PERIOD_NS	(10ull * 1000 * 1000)

/*
 * One arena's limiter.  Lifetime and owner as struct pacer; written by the functions below only.
 * All times in nanoseconds; CPU time where the name says so.
 */
struct limiter {
	uint64_t capacity_cpu_ns;	/* from here on the bucket is full */
	uint64_t fill_cpu_ns;		/* 0 … capacity and a hundredth */
	uint64_t overflow_cpu_ns;	/* collector's time that found no room in it */
	uint64_t assist_cpu_ns;		/* reported since the last update */
	uint64_t idle_cpu_ns;		/* reported since the last update */
	uint64_t updated_ns;		/* when the last update was */
	uint64_t engaged;		/* times that limiting began */
	uint32_t cpu_milli;		/* CPUs that the program can use, in thousandths */
};

/**
 * Start with an empty bucket.
 * @cpu_milli: CPUs that the program can use, in thousandths, because a cgroup's quota may be less
 * than one; 0 is taken as 1.
 */
void limiter_init(struct limiter *l, uint32_t cpu_milli, uint64_t now_ns);

/** The quota has changed.  The bucket keeps what is in it, as far as it still fits. */
void limiter_set_cpus(struct limiter *l, uint32_t cpu_milli, uint64_t now_ns);

/** CPU time was spent for the collector: marking, assists, interruptions, releasing. */
void limiter_add_assist(struct limiter *l, uint64_t cpu_ns);

/** CPU time that the program could have had and did not want, what idle workers took included. */
void limiter_add_idle(struct limiter *l, uint64_t cpu_ns);

/** Account for the time since the last update.  A clock that went back is ignored. */
void limiter_update(struct limiter *l, uint64_t now_ns);

/** Whether the last update is more than 10 ms ago. */
bool limiter_stale(const struct limiter *l, uint64_t now_ns);

/** Whether the bucket is full: then nobody is to assist. */
bool limiter_limiting(const struct limiter *l);

#endif /* TRICOLOR_LIMITER_H */
