// SPDX-License-Identifier: GPL-2.0-only
/*
 * pacer.c - Go's pacer (1.19 and later), for one arena
 *
 *  1. Goal.  A cycle should end before the heap outgrows
 *
 *	goal = marked + (marked + stacks + globals)·GOGC/100,	at least heap_minimum·GOGC/100.
 *
 *  2. Limit.  A memory limit sets a second goal: what the limit leaves for objects, less 3 % for
 *     our errors.  The smaller one wins.  Only if that is GOGC's may it be moved up a little, to
 *     leave room for sweeping and for marking.
 *
 *  3. Cons/mark.  Each cycle measures how many bytes a CPU allocates in the time in which a CPU
 *     marks one.  With G the share of the CPUs that marked (workers and assists) and I that of idle
 *     workers:
 *
 *	cons/mark = (allocated / (1 − G)) / (scanned / (G + I))
 *
 *     A trigger that comes too late costs assists; one that comes too early costs a few more
 *     cycles.  So the greatest of five measurements counts.
 *
 *  4. Trigger.  If marking gets 25 % of the CPUs and the program 75 %, then during marking the
 *     program allocates
 *
 *	runway = cons/mark · (0.75 / 0.25) · expected scan work,
 *
 *     and trigger = goal − runway, within 45/64 to 61/64 of the way from marked to goal.  Without
 *     the lower bound a program that allocates fast would always have a cycle under way.  The upper
 *     bound leaves each cycle some runway, but no more than 4 MiB where a heap is large and has
 *     little to scan.
 *
 *     A heap under a limit that has not been measured yet is triggered half-way to the goal, if
 *     little of it is known to live.  Its pace is then measured before it is at the limit.  Go has
 *     no such rule.
 *
 *  5. Assist.  What is left to scan, divided by what is left to allocate, is what each allocated
 *     byte costs its thread.  More work than was expected means that the heap grows.  Then the goal
 *     moves out in proportion to the work, but no further than the next cycle's goal could be
 *     ((1 + GOGC/100) · goal: the hard goal).  Past that, a last tenth is left to finish in.
 *
 * Sums saturate.  Ratios are computed in double, whose rounding error of 2^-53 does not matter
 * here.
 */
#include <string.h>

#include "pacer.h"

#include "core/system/saturate.h"

/* Room beyond the goal: the scavenger's tenth, the limit's headroom, and cycles that end late. */
#define CAP_FACTOR			1.15

/* The trigger's bounds, in 64ths of the way from marked to goal. */
#define TRIGGER_LOWEST_64THS		45
#define TRIGGER_HIGHEST_64THS		61
#define LARGE_HEAP_RUNWAY_BYTES		(4ull << 20)

/* The first trigger under a limit is half-way, if less than a quarter is known to live. */
#define FIRST_TRIGGER_PARTS		2
#define FIRST_LIVE_PARTS		4

/* Room for sweeping after one cycle, and for marking in the next, that GOGC's goal always gives. */
#define SWEEP_ROOM_BYTES		(1ull << 20)
#define MARK_ROOM_BYTES			(64ull << 10)

#define LIMIT_HEADROOM_PERCENT		3
#define LIMIT_HEADROOM_MIN_BYTES	(1ull << 20)

/* With GOGC off a cycle can still be forced, and is to have as good as no hard goal. */
#define GC_PERCENT_IF_OFF		100000

/* Scanning is counted in batches, and an object may count twice, so that some is always left. */
#define SCAN_LEFT_MIN_BYTES		1000.0
#define OVERSHOOT			1.1

/* If mutators ran for less than this share of a cycle, their pace was not measured. */
#define MUTATOR_SHARE_MIN		0.001

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t scale_sat(uint64_t bytes, uint32_t numerator, uint32_t denominator)
{
	unsigned __int128 scaled = (unsigned __int128)bytes * numerator / denominator;

	return scaled > UINT64_MAX ? UINT64_MAX : (uint64_t)scaled;
}

/* @value is not negative and no NaN. */
static uint64_t bytes_from_double(double value)
{
	return value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
}

/* A share of the CPUs becomes one of 0 to 1, whatever rounding and clocks have made of it. */
static double clamp_share(double share)
{
	if (!(share > 0))	/* true for a NaN as well */
		return 0;
	return share < 1 ? share : 1;
}

uint64_t pacer_expected_scan_bytes(const struct pacer *p)
{
	return add_sat(p->heap_scan_bytes, add_sat(p->stack_scan_bytes, p->globals_scan_bytes));
}

/* ------------------------------------------------------------------------------------------ */
/* Goal and trigger                                                                           */
/* ------------------------------------------------------------------------------------------ */

static uint64_t percent_goal(const struct pacer *p)
{
	uint64_t roots = add_sat(p->stack_scan_bytes, p->globals_scan_bytes);
	uint32_t percent;
	uint64_t goal;

	if (p->config.gc_percent < 0)
		return PACER_NEVER;
	percent = (uint32_t)p->config.gc_percent;
	goal = add_sat(p->marked_bytes,
		       scale_sat(add_sat(p->marked_bytes, roots), percent, 100));
	return max_u64(goal, scale_sat(p->config.heap_minimum_bytes, percent, 100));
}

uint64_t pacer_overhead_bytes(const struct pacer *p)
{
	const struct pacer_memory *m = &p->memory;

	return sub_sat(m->mapped_bytes, add_sat(m->heap_free_bytes, m->heap_alloc_bytes));
}

uint64_t pacer_cap_bytes(const struct pacer *p)
{
	double goal = (double)p->percent_goal_bytes;
	double cap = (goal + (double)pacer_overhead_bytes(p)) * CAP_FACTOR;

	return cap < 0x1p62 ? (uint64_t)cap : PACER_NEVER;
}

static uint64_t goal_under(const struct pacer *p, int64_t memory_limit_bytes)
{
	const struct pacer_memory *m = &p->memory;
	uint64_t limit = memory_limit_bytes < 0 ? 0 : (uint64_t)memory_limit_bytes;
	uint64_t other, over, goal, headroom;

	if (memory_limit_bytes == PACER_NO_LIMIT)
		return PACER_NEVER;
	/*
	 * Free pages are memory for the heap to grow into, so they take nothing away from it.  What
	 * is over the limit counts twice, which brings the heap back below the limit.
	 */
	other = pacer_overhead_bytes(p);
	over = sub_sat(m->mapped_bytes, limit);
	goal = sub_sat(limit, add_sat(other, over));
	if (!goal)
		return p->marked_bytes;	/* all but the heap is over the limit: always collect */

	headroom = max_u64(goal / 100 * LIMIT_HEADROOM_PERCENT, LIMIT_HEADROOM_MIN_BYTES);
	goal = max_u64(sub_sat(goal, headroom), headroom);
	return max_u64(goal, p->marked_bytes);
}

static uint64_t limit_goal(const struct pacer *p)
{
	return goal_under(p, p->config.memory_limit_bytes);
}

bool pacer_limited(const struct pacer *p, int64_t memory_limit_bytes)
{
	return goal_under(p, memory_limit_bytes) < p->percent_goal_bytes;
}

/* Returns the goal now.  @trigger_min: a lower bound for the trigger, never above the goal. */
static uint64_t current_goal(const struct pacer *p, uint64_t *trigger_min)
{
	uint64_t goal = p->percent_goal_bytes;
	uint64_t limited = limit_goal(p);

	*trigger_min = 0;
	if (limited < goal)
		return limited;

	*trigger_min = p->sweep_floor_bytes;
	goal = max_u64(goal, p->sweep_floor_bytes);
	/* A late start, or one large allocation, must not leave marking without runway. */
	if (p->marking)
		goal = max_u64(goal, add_sat(p->triggered_bytes, MARK_ROOM_BYTES));
	return goal;
}

uint64_t pacer_goal_bytes(const struct pacer *p)
{
	uint64_t trigger_min;

	return current_goal(p, &trigger_min);
}

uint64_t pacer_trigger_bytes(const struct pacer *p)
{
	uint64_t lowest, highest, growth, trigger;
	uint64_t goal = current_goal(p, &lowest);

	if (goal == PACER_NEVER)
		return PACER_NEVER;

	growth = goal - p->marked_bytes;	/* no goal is below what is known to be live */
	lowest = max_u64(lowest, p->marked_bytes + scale_sat(growth, TRIGGER_LOWEST_64THS, 64));
	highest = max_u64(p->marked_bytes + scale_sat(growth, TRIGGER_HIGHEST_64THS, 64),
			  sub_sat(goal, LARGE_HEAP_RUNWAY_BYTES));
	highest = max_u64(highest, lowest);
	trigger = min_u64(max_u64(sub_sat(goal, p->runway_bytes), lowest), highest);
	if (!(p->cons_mark > 0) && p->marked_bytes < goal / FIRST_LIVE_PARTS &&
	    goal < p->percent_goal_bytes)
		trigger = min_u64(trigger, goal / FIRST_TRIGGER_PARTS);
	return trigger;
}

/* ------------------------------------------------------------------------------------------ */
/* Assists                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static double assist_ratio(const struct pacer *p)
{
	double expected = (double)pacer_expected_scan_bytes(p);
	double triggered = (double)p->triggered_bytes;
	double live = (double)p->heap_live_bytes;
	double done = (double)p->scan_work_bytes;
	double most = (double)p->scan_work_max_bytes;
	double goal = (double)pacer_goal_bytes(p);
	double scan_left, heap_left;

	if (!p->scan_work_max_bytes)
		most = (double)add_sat(p->heap_live_bytes,
				       add_sat(p->stack_scan_bytes, p->globals_scan_bytes));

	if (done > expected) {
		int32_t percent = p->config.gc_percent;
		double hard = (1 + (percent < 0 ? GC_PERCENT_IF_OFF : percent) / 100.0) * goal;
		double further = hard;

		/*
		 * Allocation per scanned byte stays as it was planned, so that assists do not jump
		 * when the heap grows.  If a limit has pulled the goal below the trigger, this
		 * moves the goal further down, and all threads mark.
		 */
		if (expected > 0)
			further = triggered + (goal - triggered) / expected * most;
		goal = further < hard ? further : hard;
		expected = most;
	}
	if (live > goal) {
		goal *= OVERSHOOT;
		expected = most;
	}

	scan_left = expected - done;
	if (scan_left < SCAN_LEFT_MIN_BYTES)
		scan_left = SCAN_LEFT_MIN_BYTES;
	heap_left = goal - live;
	if (heap_left < 1)
		heap_left = 1;
	return scan_left / heap_left;
}

/* Compute the derived fields again. */
static void recompute(struct pacer *p)
{
	double work = (double)pacer_expected_scan_bytes(p);
	double split = (1 - PACER_UTILIZATION_GOAL) / PACER_UTILIZATION_GOAL;

	p->percent_goal_bytes = percent_goal(p);
	p->runway_bytes = bytes_from_double(p->cons_mark * split * work);
	if (p->marking)
		p->assist_ratio = assist_ratio(p);
}

/* ------------------------------------------------------------------------------------------ */
/* A cycle                                                                                    */
/* ------------------------------------------------------------------------------------------ */

void pacer_cycle_start(struct pacer *p, const struct pacer_start *start)
{
	p->marking = true;
	p->triggered_bytes = start->heap_live_bytes;
	if (start->globals_scan_bytes)
		p->globals_scan_bytes = start->globals_scan_bytes;
	pacer_revise(p, start->heap_live_bytes, 0, 0);
}

double pacer_revise(struct pacer *p, uint64_t heap_live_bytes, uint64_t scan_work_bytes,
		    uint64_t scan_work_max_bytes)
{
	p->heap_live_bytes = heap_live_bytes;
	p->scan_work_bytes = scan_work_bytes;
	p->scan_work_max_bytes = scan_work_max_bytes;
	p->assist_ratio = assist_ratio(p);
	return p->assist_ratio;
}

/*
 * Take this cycle's cons/mark into account.  A cycle in which nothing was allocated or scanned, or
 * for which no CPU time was counted, says nothing.  Nor does a forced one: the thread that asked
 * for it waits instead of allocating, or the program is idle.  Five such cycles in a row would make
 * the next real one start late.
 */
static void measure_cons_mark(struct pacer *p, const struct pacer_end *end)
{
	uint64_t work = add_sat(end->heap_scan_bytes,
				add_sat(end->stack_scan_bytes, end->globals_scan_bytes));
	uint64_t allocated = sub_sat(end->heap_live_bytes, p->triggered_bytes);
	double gc = clamp_share(clamp_share(end->gc_utilization) +
				clamp_share(end->assist_utilization));
	double marking = gc + clamp_share(end->idle_utilization);
	double mutator = 1 - gc > MUTATOR_SHARE_MIN ? 1 - gc : MUTATOR_SHARE_MIN;
	double *history = p->cons_mark_history;
	double sample;

	if (!p->marking || end->forced || !allocated || !work || !(marking > 0))
		return;

	sample = (double)allocated * marking / ((double)work * mutator);
	p->cons_mark = sample;
	for (int i = 0; i < PACER_CONS_MARK_HISTORY; i++)
		if (history[i] > p->cons_mark)
			p->cons_mark = history[i];
	memmove(&history[0], &history[1], (PACER_CONS_MARK_HISTORY - 1) * sizeof(history[0]));
	history[PACER_CONS_MARK_HISTORY - 1] = sample;
}

void pacer_cycle_end(struct pacer *p, const struct pacer_end *end)
{
	p->last_goal_bytes = pacer_goal_bytes(p);
	measure_cons_mark(p, end);

	p->marking = false;
	p->marked_bytes = end->marked_bytes;
	p->heap_scan_bytes = end->heap_scan_bytes;
	p->stack_scan_bytes = end->stack_scan_bytes;
	p->globals_scan_bytes = end->globals_scan_bytes;
	p->memory = end->memory;
	p->sweep_floor_bytes = add_sat(end->marked_bytes, SWEEP_ROOM_BYTES);
	recompute(p);
}

/* ------------------------------------------------------------------------------------------ */
/* Configuration                                                                              */
/* ------------------------------------------------------------------------------------------ */

void pacer_configure(struct pacer *p, const struct pacer_config *config)
{
	p->config = *config;
	if (p->config.gc_percent < 0)
		p->config.gc_percent = -1;
	if (p->config.memory_limit_bytes < 0)
		p->config.memory_limit_bytes = 0;
	if (!p->config.procs)
		p->config.procs = 1;
	recompute(p);
}

void pacer_init(struct pacer *p, const struct pacer_config *config)
{
	memset(p, 0, sizeof(*p));
	pacer_configure(p, config);
}

void pacer_set_memory(struct pacer *p, const struct pacer_memory *memory)
{
	p->memory = *memory;
	recompute(p);
}

/* ------------------------------------------------------------------------------------------ */
/* The clock                                                                                  */
/* ------------------------------------------------------------------------------------------ */

bool pacer_periodic_due(uint64_t last_cycle_end_ns, uint64_t now_ns)
{
	return last_cycle_end_ns && sub_sat(now_ns, last_cycle_end_ns) >= PACER_PERIOD_NS;
}
