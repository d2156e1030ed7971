/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacer_cycles.h - cycles of a pacer that a test computes by hand
 */
#ifndef TRICOLOR_SELFTESTS_PACER_CYCLES_H
#define TRICOLOR_SELFTESTS_PACER_CYCLES_H

#include <stdbool.h>
#include <stdint.h>

#include "check.h"
#include "daemon/heap/pacer.h"

#define KIB		1024ull
#define MIB		(1024ull * 1024)
#define GIB		(1024ull * 1024 * 1024)

/* check() of a number of bytes, which prints both numbers when they differ. */
#define check_bytes(value, wanted)					\
	do {								\
		uint64_t value_ = (value), wanted_ = (wanted);		\
									\
		if (value_ != wanted_) {				\
			ksft_print_msg("line %d: %s is %llu, not %llu\n", __LINE__, #value, \
				       (unsigned long long)value_, (unsigned long long)wanted_); \
			check_failures++;					\
		}							\
	} while (0)

/** Whether two numbers differ by no more than rounding. */
bool is_near(double value, double wanted);

/** A configuration for 8 CPUs, with the usual minimum of the heap. */
struct pacer_config config_of(int32_t gc_percent, int64_t memory_limit_bytes);

/** A new pacer with that configuration. */
void pacer_of(struct pacer *p, int32_t gc_percent, int64_t memory_limit_bytes);

/** Start a cycle. */
void start_cycle(struct pacer *p, uint64_t heap_live_bytes);

/** A cycle that starts at @from and ends at @to, with background marking only. */
void whole_cycle(struct pacer *p, uint64_t from, uint64_t to, uint64_t marked, uint64_t scanned);

#endif
