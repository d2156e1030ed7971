/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacer_sim.h - a program and its collector, reduced to rates, driving the real pacer
 *
 * The model is the one that Go tests its pacer with.  Each cycle starts at the trigger.  While
 * there is work left, time goes on in steps of 500 µs: as many CPUs mark as the assist ratio asks
 * for, and at least 25 % of them; the rest allocates.  Globals are scanned first, then stacks, then
 * the heap.
 */
#ifndef TRICOLOR_PACER_SIM_H
#define TRICOLOR_PACER_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/heap/pacer.h"

/* A value for each cycle, counted from 0: a constant plus terms.  A zero term is nothing. */
enum sim_shape {
	SIM_NOTHING = 0,
	SIM_UNIT,		/* @height in one cycle */
	SIM_RAMP,		/* from 0 to @height in @length cycles, then @height */
	SIM_OSCILLATE,		/* a sine of amplitude @height and period @length */
	SIM_RANDOM,		/* evenly in ±@height, the same for the same @seed */
};

struct sim_term {
	enum sim_shape shape;
	double height;
	uint32_t length;
	uint32_t delay;		/* cycles of 0 before it begins */
	uint64_t seed;
};

struct sim_stream {
	double constant;
	struct sim_term terms[3];
};

/* A field or stream of zeros means the default. */
struct sim_scenario {
	const char *name;
	int32_t gc_percent;		/* 100 */
	int64_t memory_limit_bytes;	/* none */
	uint64_t globals_bytes;		/* 32 KiB */
	uint32_t procs;			/* 8 */
	uint32_t cycles;		/* 50 */
	struct sim_stream alloc;	/* KiB per CPU-ms; no default */
	struct sim_stream scan;		/* KiB per CPU-ms; 1024 */
	struct sim_stream growth;	/* live heap ÷ live heap of the cycle before; 2 → 1 in 12 */
	struct sim_stream scannable;	/* part of the heap that may hold pointers; 1 */
	struct sim_stream stacks;	/* bytes, rounded down to 2 KiB; 8 KiB */
};

/* One cycle as the checks see it; bytes. */
struct sim_result {
	uint32_t cycle;			/* from 1 */
	uint64_t live_bytes;		/* marked by the cycle before */
	uint64_t trigger_bytes;
	uint64_t peak_bytes;		/* live when it ended */
	uint64_t goal_bytes;		/* when it ended */
	double utilization;		/* of the CPUs, by workers and assists */
};

struct sim {
	struct sim_scenario scenario;	/* defaults filled in */
	uint64_t seed;			/* mixed into every SIM_RANDOM */
	struct pacer pacer;
	uint32_t cycle;			/* the one under way or to come, from 0 */
	uint64_t black_before_bytes;	/* allocated during the last mark phase */

	/* The cycle under way. */
	double alloc, scan, scannable;
	uint64_t trigger_bytes;
	uint64_t heap_live_bytes;
	uint64_t heap_scannable_bytes;
	uint64_t stack_bytes;
	uint64_t reachable_bytes;	/* of what was there when it started */
	uint64_t left_bytes[3];		/* globals, stacks, heap */
	uint64_t done_bytes[3];
	uint64_t black_bytes;
	double assist_cpu_ms, elapsed_ms;
};

void sim_init(struct sim *sim, const struct sim_scenario *scenario, uint64_t seed);

/* A cycle: begin, step until it returns false, end. */
void sim_cycle_begin(struct sim *sim);
bool sim_step(struct sim *sim);
void sim_cycle_end(struct sim *sim, struct sim_result *result);

/* The three at once. */
void sim_cycle(struct sim *sim, struct sim_result *result);

/* The program allocates more than the rates say, between two steps: the pacer hears of it after. */
void sim_allocate(struct sim *sim, uint64_t bytes);

/* At any time, in a cycle too. */
void sim_set_limit(struct sim *sim, int64_t limit_bytes);

double sim_value(const struct sim_stream *stream, uint32_t cycle, uint64_t seed);
uint64_t sim_mix(uint64_t x);

double sim_goal_ratio(const struct sim_result *result);		/* peak ÷ goal */
double sim_trigger_ratio(const struct sim_result *result);	/* way from live to goal */

#endif /* TRICOLOR_PACER_SIM_H */
