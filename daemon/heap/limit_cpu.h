/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limit_cpu.h - the CPU time that an arena's memory limit costs: see limit_cpu.c
 *
 * All of it is for the arena's thread.
 */
#ifndef TRICOLOR_LIMIT_CPU_H
#define TRICOLOR_LIMIT_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct limit;

/** Begin to account, as there is a limit now. */
void limit_cpu_start(struct arena *a);

/** Account for the time since the last call. */
void limit_cpu_account(struct arena *a);

/**
 * Note that since the last answer the client's threads were interrupted @times, for @ns in all,
 * with their assists.
 */
void limit_cpu_interrupted(struct arena *a, uint64_t ns, uint64_t times);

/** Whether the collector has had more than half of the CPU time. */
bool limit_cpu_exceeded(const struct limit *l);

/** CPUs that the client can use, in thousandths. */
uint32_t limit_cpu_milli(const struct arena *a);

#endif
