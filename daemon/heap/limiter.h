/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limiter.h - keeping collection from taking the program's CPU time
 *
 * A heap that does not fit its limit would be collected all the time.  The limiter is a bucket of
 * CPU time.  The collector's time fills it and the program's time drains it, one for one, so a full
 * bucket means that the collector has had more than half for a while.  While it is full the limit
 * gives way: cycles start by GOGC alone, nobody assists, and the program goes on (limit.c).
 * What is above the limit is released all the same.
 *
 * The bucket holds one second for each CPU, so a shorter burst is allowed.  It is never less than
 * empty, so a long idle time does not allow a longer burst.
 *
 * This is arithmetic only, as pacer.h is, and any value of any argument is harmless.
 */
#ifndef TRICOLOR_LIMITER_H
#define TRICOLOR_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

/* An answer that is older than this needs an update first. */
#define LIMITER_PERIOD_NS	(10ull * 1000 * 1000)

/*
 * One arena's limiter.  Lifetime and owner are those of struct pacer, and only the functions below
 * write to it.  All times are in nanoseconds, and are CPU time where the name says so.
 */
struct limiter {
	uint64_t capacity_cpu_ns;	/* from here on the bucket is full */
	uint64_t fill_cpu_ns;		/* at most the capacity and a hundredth of it */
	uint64_t overflow_cpu_ns;	/* collector's time that the bucket had no room for */
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

/** Change the number of CPUs.  The bucket keeps what is in it, as far as it still fits. */
void limiter_set_cpus(struct limiter *l, uint32_t cpu_milli, uint64_t now_ns);

/** Report CPU time spent for the collector: marking, assists, interruptions, releasing. */
void limiter_add_assist(struct limiter *l, uint64_t cpu_ns);

/** Report CPU time that the program did not want, with what idle workers took of it. */
void limiter_add_idle(struct limiter *l, uint64_t cpu_ns);

/** Account for the time since the last update.  A clock that went back is ignored. */
void limiter_update(struct limiter *l, uint64_t now_ns);

/** Whether the last update is more than 10 ms ago. */
bool limiter_stale(const struct limiter *l, uint64_t now_ns);

/** Whether the bucket is full, and so nobody is to assist. */
bool limiter_limiting(const struct limiter *l);

#endif /* TRICOLOR_LIMITER_H */
