/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacer.h - when a cycle starts, how large the heap may grow, and how much threads assist
 *
 * This is arithmetic only, without clock, I/O, allocation or lock.  pacer.c opens with the
 * algorithm.  The caller brings the figures, and publishes trigger and assist ratio in the arena's
 * control page.
 *
 * Clients can make their figures up, so that each may be any value of its type.  Whatever comes in,
 * nothing here divides by zero or overflows, and no result is infinite or a NaN.
 */
#ifndef TRICOLOR_PACER_H
#define TRICOLOR_PACER_H

#include <stdbool.h>
#include <stdint.h>

/* The share of the program's CPUs that background marking takes, and that the trigger aims for. */
#define PACER_UTILIZATION_GOAL		0.25

/* A goal or trigger that no heap reaches: collection is off. */
#define PACER_NEVER			UINT64_MAX

#define PACER_HEAP_MINIMUM_BYTES	(4ull << 20)
#define PACER_NO_LIMIT			INT64_MAX
#define PACER_PERIOD_NS			(120ull * 1000 * 1000 * 1000)

/* Cycles before the last one whose cons/mark ratio still counts. */
#define PACER_CONS_MARK_HISTORY		4

/* The settings.  pacer_init() and pacer_configure() copy them from the caller. */
struct pacer_config {
	int32_t gc_percent;		/* GOGC; negative: off */
	int64_t memory_limit_bytes;	/* this arena's; PACER_NO_LIMIT: none; below 0 is 0 */
	uint32_t procs;			/* CPUs that the mutators can use; 0 is taken as 1 */
	uint64_t heap_minimum_bytes;	/* least goal at GOGC 100; scales with gc_percent */
};

/*
 * Memory as it counts against the limit, measured by the caller.  The figures are read one after
 * the other.  If the parts exceed the whole, nothing is taken to be outside the heap.
 */
struct pacer_memory {
	uint64_t mapped_bytes;		/* all that counts and is not released */
	uint64_t heap_alloc_bytes;	/* of it, in objects, swept or not */
	uint64_t heap_free_bytes;	/* of it, in free pages that still have memory */
};

/* What is known when a cycle starts. */
struct pacer_start {
	uint64_t heap_live_bytes;	/* marked by the last cycle plus allocated since */
	uint64_t globals_scan_bytes;	/* registered roots; 0: as in the last cycle */
};

/* What a cycle found.  Utilizations are fractions of procs × the duration of the mark phase. */
struct pacer_end {
	uint64_t heap_live_bytes;	/* just before the end: at start plus allocated since */
	uint64_t marked_bytes;		/* reached, with what was allocated black */
	uint64_t heap_scan_bytes;	/* read in objects that may hold pointers */
	uint64_t stack_scan_bytes;
	uint64_t globals_scan_bytes;
	double gc_utilization;		/* dedicated and fractional workers */
	double assist_utilization;	/* allocating threads that marked */
	double idle_utilization;	/* workers on CPUs that nobody else wanted */
	struct pacer_memory memory;
	bool forced;			/* tri_gc() or the 2-minute rule, not the trigger */
};

/*
 * One arena's pacer.  It lives as long as the daemon serves the arena, and belongs to the thread
 * that drives the arena's cycles.  Only the functions below write to it.  The fields are here so
 * that it can be a part of another struct, and for the trace.
 */
struct pacer {
	struct pacer_config config;	/* within its bounds */
	struct pacer_memory memory;	/* the latest */

	/* What the last cycle has found: set by pacer_cycle_end(). */
	uint64_t marked_bytes;
	uint64_t heap_scan_bytes;
	uint64_t stack_scan_bytes;
	uint64_t globals_scan_bytes;	/* set by pacer_cycle_start() as well */
	uint64_t last_goal_bytes;	/* goal that the last cycle ended with; 0: no cycle yet */

	/*
	 * Bytes allocated by one CPU in the time in which one CPU marks a byte.  @cons_mark is the
	 * greatest of the last cycle's and those of @cons_mark_history.
	 */
	double cons_mark;
	double cons_mark_history[PACER_CONS_MARK_HISTORY];	/* oldest first */

	/* Derived from the fields above whenever these change. */
	uint64_t percent_goal_bytes;	/* GOGC's; PACER_NEVER: off */
	uint64_t sweep_floor_bytes;	/* least trigger: room for sweeping; 0: first cycle */
	uint64_t runway_bytes;		/* allocation expected between trigger and end of marking */

	/* The cycle under way: set by pacer_cycle_start() and pacer_revise(). */
	bool marking;
	uint64_t triggered_bytes;	/* live when it started */
	uint64_t heap_live_bytes;	/* live now */
	uint64_t scan_work_bytes;	/* done so far */
	uint64_t scan_work_max_bytes;	/* if everything turned out to be reachable; 0: not told */
	double assist_ratio;		/* scan bytes owed per allocated byte; stays after it */
};

/** Begin, with nothing known about the heap. */
void pacer_init(struct pacer *p, const struct pacer_config *config);

/** Change the settings.  Goal and trigger follow at once, and in a cycle the assist ratio. */
void pacer_configure(struct pacer *p, const struct pacer_config *config);

/** Say how memory has changed, in a cycle or between two.  Goal and trigger follow at once. */
void pacer_set_memory(struct pacer *p, const struct pacer_memory *memory);

/** Marking begins.  A cycle that was under way is forgotten, as its client or daemon is gone. */
void pacer_cycle_start(struct pacer *p, const struct pacer_start *start);

/**
 * Recompute the assist ratio.  To be called during marking whenever one of the figures has moved.
 * @heap_live_bytes: live at the start plus allocated since.
 * @scan_work_bytes: scanned since the start, in objects, stacks and globals.
 * @scan_work_max_bytes: what would be scanned if nothing were garbage; 0: not known, and all of the
 * live heap is taken.  Returns the bytes of scanning that a thread owes for each byte that it
 * allocates, which is above 0 and finite.  While the CPU limiter limits, the caller asks for no
 * assists in spite of it.
 */
double pacer_revise(struct pacer *p, uint64_t heap_live_bytes, uint64_t scan_work_bytes,
		    uint64_t scan_work_max_bytes);

/** Marking has ended.  From here on goal and trigger are those of the next cycle. */
void pacer_cycle_end(struct pacer *p, const struct pacer_end *end);

/**
 * Heap size, in live bytes, at which the cycle under way should have ended; or the next one, if
 * none is under way.
 */
uint64_t pacer_goal_bytes(const struct pacer *p);

/**
 * Heap size, in live bytes, at which the next cycle starts.
 * It is never above the goal.  If more lives than the limit allows, it may be what is live already.
 * So it is to be compared when something is allocated, and not by a timer, which would have an idle
 * program collected again and again.
 */
uint64_t pacer_trigger_bytes(const struct pacer *p);

/** Whether a limit of @memory_limit_bytes, and not GOGC, would set the goal. */
bool pacer_limited(const struct pacer *p, int64_t memory_limit_bytes);

/** Memory that is neither in objects nor in free pages: metadata, gaps in spans. */
uint64_t pacer_overhead_bytes(const struct pacer *p);

/** Most memory that the heap can use as GOGC has it, all in all; PACER_NEVER: no bound. */
uint64_t pacer_cap_bytes(const struct pacer *p);

/** Bytes that the cycle under way, or else the next one, is expected to scan. */
uint64_t pacer_expected_scan_bytes(const struct pacer *p);

/**
 * Whether two minutes have passed since the last cycle ended.  Not to be called with GOGC off.
 * @last_cycle_end_ns: 0 if there was no cycle; then none is due.
 */
bool pacer_periodic_due(uint64_t last_cycle_end_ns, uint64_t now_ns);

#endif /* TRICOLOR_PACER_H */
