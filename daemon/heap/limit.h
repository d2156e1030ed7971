/* SPDX-License-Identifier: GPL-2.0-only */
/* limit.h - one arena and its memory limit: see limit.c */
#ifndef TRICOLOR_LIMIT_H
#define TRICOLOR_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "limiter.h"
#include "pacer.h"

struct arena;

/* Part of struct arena; owned by its thread. */
struct limit {
	int64_t share_bytes;		/* of the budget, by the watcher; PACER_NO_LIMIT: none */
	int64_t in_force_bytes;		/* the client's own, or that; PACER_NO_LIMIT: none */
	uint64_t bound_bytes;		/* after the last cycle: memory that can't be released */
	uint64_t overhead_bytes;	/* see limit_peak() */
	uint64_t swept_bytes;		/* in spans, after the last sweep */
	uint64_t told_throttled;	/* waits of the client that the trace has told of */
	int64_t told_low_bytes;		/* own limit that the log has called too low; 0: none */
	uint32_t group_pressure;	/* enum tri_pressure of the client's cgroup, by the watcher */
	uint64_t doze_bytes;		/* the watcher sleeps until so much is allocated; 0: it does not */
	bool urgent;			/* memory is short: release it, collect if there is what for */
	bool held;			/* the limit gives way, until the collector has less than half */
	bool held_in_cycle;		/* it has since the last cycle ended */
	bool over;			/* the client is told so */

	/* CPU time, in nanoseconds.  Only while there is a limit. */
	struct limiter limiter;
	uint64_t owed_cpu_ns;		/* collector's time that the limiter's bucket had no room for */
	uint64_t unreported_ns;		/* of helpers, and of threads that were scanned */
	uint64_t own_cpu_ns, assist_ns, client_cpu_ns;	/* readings at the last update … */
	uint64_t answered_assist_ns;	/* … and at the last answer */
	uint64_t gc_ns, program_ns;	/* sums */
	clockid_t client_clock;
	bool client_seen;		/* client_clock can be read: it is in our pid namespace */
	uint64_t quota_ns;		/* when the client's CPU quota was looked at */
};

void limit_init(struct arena *a);

/** Settings or share have changed: the limit that the pacer is to keep, PACER_NO_LIMIT for none. */
int64_t limit_update(struct arena *a);

/** The watcher's orders. */
void limit_share(struct arena *a, int64_t bytes);
void limit_pressure(struct arena *a, uint32_t pressure);
void limit_urge(struct arena *a);
void limit_doze(struct arena *a, int64_t bytes);

/** Now and then while marking: account for CPU time; may give way. */
void limit_progress(struct arena *a);

/** Since the last answer the client's threads were held up @times for @ns, assists included. */
void limit_interrupted(struct arena *a, uint64_t ns, uint64_t times);

/** Whether memory is so short that a cycle should run before it is due. */
bool limit_hurry(struct arena *a);

/** A cycle is due: whether it is to be put off because collecting takes over half of the CPU. */
bool limit_hold(struct arena *a);

/** The trigger, brought forward to where putting off is to be thought over, or somebody to be woken. */
uint64_t limit_trigger(const struct arena *a, uint64_t trigger_bytes);

/** Marking has ended, and the heap is at its largest: what of @memory is overhead. */
void limit_peak(struct arena *a, struct pacer_memory *memory);

/**
 * Live bytes past which threads wait for the end of a cycle although the limit gives way: the kernel's
 * is near.  PACER_NEVER: nowhere.
 */
uint64_t limit_brake_bytes(const struct arena *a);

/** A cycle has ended, and was swept. */
void limit_cycle_end(struct arena *a);

/** Memory that GOGC lets the heap have use for, all in all; PACER_NEVER: without bounds. */
uint64_t limit_cap(const struct arena *a);

/** Memory of the arena's file: heap, and what belongs to it. */
uint64_t limit_resident_bytes(const struct arena *a);

#endif
