/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every workload program has: its parameters, its clock, its report.
 *
 * A program is run as `PROGRAM WORKLOAD key=value...` by the driver (../run.c) and answers with
 * lines `key=value` on its standard output.  The same workloads in Go are in ../go/.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdint.h>
#include <time.h>

/* The workloads.  Each reads its parameters, runs, checks its result, and reports. */
void drop_run(void);
void trees_run(void);
void mark_run(void);
void ring_run(void);
void barrier_run(void);
void gcbench_run(void);
void larson_run(void);
void lru_run(void);
void churn_run(void);
void live_run(void);
void idle_run(void);
void threads_run(void);
void strings_run(void);
void finalize_run(void);

/* A parameter of the command line.  A missing one ends the program: there are no defaults here. */
uint64_t param_u64(const char *key);
const char *param_string(const char *key);

void report(const char *key, double value);

/* Say what is wrong and end the program with a failure. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CPU time of this process, user and system, all threads. */
uint64_t process_cpu_ns(void);

/* xorshift64*: the Go programs have the same one, so that all systems get the same graph. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

/* A number below @bound, from the upper bits. */
static inline uint64_t random_below(uint64_t *state, uint32_t bound)
{
	return ((random_next(state) >> 32) * bound) >> 32;
}

#endif
