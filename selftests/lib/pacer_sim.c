/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacer_sim.c - see pacer_sim.h; included by the test that uses it
 *
 * Utilization.  With assist ratio a (bytes scanned for each byte allocated) and the rates of a CPU,
 * a share u of the CPUs marks such that
 *
 *	a = scan · u / (alloc · (1 − u)),	hence	u = a·alloc / (a·alloc + scan).
 *
 * Below 25 % there are no assists: background marking takes its share in any case.
 */
#include <math.h>
#include <string.h>

#include "pacer_sim.h"

#define STEP_MS			0.5
#define FIRST_HEAP_BYTES	(256u << 10)
#define RATE_MIN		0.0001		/* a rate of nothing would never end */

enum { GLOBALS, STACKS, HEAP };

/* splitmix64's finalizer: one call a value, no state to carry from cycle to cycle. */
uint64_t sim_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static double term_value(const struct sim_term *term, uint32_t cycle, uint64_t seed)
{
	uint32_t i;

	if (cycle < term->delay)
		return 0;
	i = cycle - term->delay;
	switch (term->shape) {
	case SIM_NOTHING:
		return 0;
	case SIM_UNIT:
		return i == 0 ? term->height : 0;
	case SIM_RAMP:
		return i < term->length ? term->height * i / term->length : term->height;
	case SIM_OSCILLATE:
		return term->height * sin(2 * M_PI * i / term->length);
	case SIM_RANDOM:
		return term->height *
		       (0x1p-63 * (double)sim_mix(seed ^ sim_mix(term->seed ^ sim_mix(i))) - 1);
	}
	return 0;
}

double sim_value(const struct sim_stream *stream, uint32_t cycle, uint64_t seed)
{
	double value = stream->constant;

	for (size_t i = 0; i < sizeof(stream->terms) / sizeof(stream->terms[0]); i++)
		value += term_value(&stream->terms[i], cycle, seed);
	return value;
}

static void default_to(struct sim_stream *stream, double constant)
{
	if (stream->constant == 0 && stream->terms[0].shape == SIM_NOTHING)
		stream->constant = constant;
}

static void fill_in_defaults(struct sim_scenario *s)
{
	s->gc_percent = s->gc_percent ?: 100;
	s->memory_limit_bytes = s->memory_limit_bytes ?: PACER_NO_LIMIT;
	s->globals_bytes = s->globals_bytes ?: 32 << 10;
	s->procs = s->procs ?: 8;
	s->cycles = s->cycles ?: 50;
	default_to(&s->scan, 1024);
	default_to(&s->scannable, 1);
	default_to(&s->stacks, 8 << 10);
	if (s->growth.constant == 0)
		s->growth = (struct sim_stream){ 2, { { SIM_RAMP, -1, .length = 12 } } };
}

void sim_init(struct sim *sim, const struct sim_scenario *scenario, uint64_t seed)
{
	struct pacer_config config;

	memset(sim, 0, sizeof(*sim));
	sim->scenario = *scenario;
	fill_in_defaults(&sim->scenario);
	sim->seed = seed;
	config = (struct pacer_config){
		.gc_percent = sim->scenario.gc_percent,
		.memory_limit_bytes = sim->scenario.memory_limit_bytes,
		.procs = sim->scenario.procs,
		.heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES,
	};
	pacer_init(&sim->pacer, &config);
}

void sim_set_limit(struct sim *sim, int64_t limit_bytes)
{
	struct pacer_config config = sim->pacer.config;

	config.memory_limit_bytes = limit_bytes;
	pacer_configure(&sim->pacer, &config);
}

static void revise(struct sim *sim)
{
	pacer_revise(&sim->pacer, sim->heap_live_bytes,
		     sim->done_bytes[GLOBALS] + sim->done_bytes[STACKS] + sim->done_bytes[HEAP],
		     sim->heap_scannable_bytes + sim->stack_bytes + sim->scenario.globals_bytes);
}

void sim_cycle_begin(struct sim *sim)
{
	const struct sim_scenario *s = &sim->scenario;
	const struct pacer *p = &sim->pacer;
	struct pacer_start start;
	double growth, stacks;

	sim->alloc = fmax(sim_value(&s->alloc, sim->cycle, sim->seed), RATE_MIN);
	sim->scan = fmax(sim_value(&s->scan, sim->cycle, sim->seed), RATE_MIN);
	sim->scannable = fmin(fmax(sim_value(&s->scannable, sim->cycle, sim->seed), 0), 1);
	growth = fmax(sim_value(&s->growth, sim->cycle, sim->seed), RATE_MIN);
	stacks = fmax(sim_value(&s->stacks, sim->cycle, sim->seed), 0);

	/* What was allocated black in the last cycle is garbage now: nothing holds it. */
	sim->reachable_bytes = FIRST_HEAP_BYTES;
	if (sim->cycle)
		sim->reachable_bytes =
			(uint64_t)((double)(p->marked_bytes - sim->black_before_bytes) * growth);

	sim->trigger_bytes = pacer_trigger_bytes(p);
	if (sim->trigger_bytes < p->marked_bytes)
		sim->trigger_bytes = p->marked_bytes;
	sim->heap_live_bytes = sim->trigger_bytes;
	sim->heap_scannable_bytes = p->heap_scan_bytes +
		(uint64_t)((double)(sim->trigger_bytes - p->marked_bytes) * sim->scannable);
	sim->stack_bytes = (uint64_t)stacks / 2048 * 2048;

	sim->left_bytes[GLOBALS] = s->globals_bytes;
	sim->left_bytes[STACKS] = sim->stack_bytes;
	sim->left_bytes[HEAP] = (uint64_t)((double)sim->reachable_bytes * sim->scannable);
	memset(sim->done_bytes, 0, sizeof(sim->done_bytes));
	sim->black_bytes = 0;
	sim->assist_cpu_ms = 0;
	sim->elapsed_ms = 0;

	start = (struct pacer_start){
		.heap_live_bytes = sim->heap_live_bytes,
		.globals_scan_bytes = s->globals_bytes,
	};
	pacer_cycle_start(&sim->pacer, &start);
	revise(sim);
}

void sim_allocate(struct sim *sim, uint64_t bytes)
{
	sim->heap_live_bytes += bytes;
	sim->black_bytes += bytes;
	sim->heap_scannable_bytes += (uint64_t)((double)bytes * sim->scannable);
}

bool sim_step(struct sim *sim)
{
	double owed = sim->pacer.assist_ratio * sim->alloc;
	double u = fmax(owed / (owed + sim->scan), PACER_UTILIZATION_GOAL);
	double cpu_kib = 1024 * STEP_MS * sim->scenario.procs;
	uint64_t budget = (uint64_t)(sim->scan * cpu_kib * u);
	uint64_t scanned = 0;
	double part = 1;

	for (int i = 0; i < 3; i++) {
		uint64_t left = sim->left_bytes[i];
		uint64_t bytes = left < budget - scanned ? left : budget - scanned;

		sim->left_bytes[i] -= bytes;
		sim->done_bytes[i] += bytes;
		scanned += bytes;
	}
	if (scanned < budget)	/* marking ended within the step */
		part = (double)scanned / (sim->scan * cpu_kib * u);

	sim_allocate(sim, (uint64_t)(sim->alloc * cpu_kib * (1 - u) * part));
	sim->elapsed_ms += STEP_MS * part;
	sim->assist_cpu_ms += STEP_MS * part * sim->scenario.procs * (u - PACER_UTILIZATION_GOAL);
	revise(sim);
	return sim->left_bytes[GLOBALS] + sim->left_bytes[STACKS] + sim->left_bytes[HEAP] > 0;
}

void sim_cycle_end(struct sim *sim, struct sim_result *result)
{
	double cpu_ms = sim->elapsed_ms * sim->scenario.procs;
	double assists = cpu_ms > 0 ? sim->assist_cpu_ms / cpu_ms : 0;
	struct pacer_end end = {
		.heap_live_bytes = sim->heap_live_bytes,
		.marked_bytes = sim->reachable_bytes + sim->black_bytes,
		.heap_scan_bytes = sim->done_bytes[HEAP],
		.stack_scan_bytes = sim->done_bytes[STACKS],
		.globals_scan_bytes = sim->done_bytes[GLOBALS],
		.gc_utilization = PACER_UTILIZATION_GOAL,
		.assist_utilization = assists,
		.memory = sim->pacer.memory,
	};

	*result = (struct sim_result){
		.cycle = sim->cycle + 1,
		.live_bytes = sim->pacer.marked_bytes,
		.trigger_bytes = sim->trigger_bytes,
		.peak_bytes = sim->heap_live_bytes,
		.goal_bytes = pacer_goal_bytes(&sim->pacer),
		.utilization = PACER_UTILIZATION_GOAL + assists,
	};
	pacer_cycle_end(&sim->pacer, &end);
	sim->black_before_bytes = sim->black_bytes;
	sim->cycle++;
}

void sim_cycle(struct sim *sim, struct sim_result *result)
{
	sim_cycle_begin(sim);
	while (sim_step(sim))
		;
	sim_cycle_end(sim, result);
}

double sim_goal_ratio(const struct sim_result *result)
{
	return (double)result->peak_bytes / (double)result->goal_bytes;
}

double sim_trigger_ratio(const struct sim_result *result)
{
	return (double)(result->trigger_bytes - result->live_bytes) /
	       (double)(result->goal_bytes - result->live_bytes);
}
