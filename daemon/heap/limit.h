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

/* A part of struct arena, which belongs to the arena's thread. */
struct limit {
	int64_t share_bytes;		/* ordered by the watcher; PACER_NO_LIMIT: none */
	int64_t in_force_bytes;		/* the client's own, or the share; PACER_NO_LIMIT: none */
	uint64_t bound_bytes;		/* after the last cycle: memory that can't be released */
	uint64_t overhead_bytes;	/* see limit_peak() */
	uint64_t swept_bytes;		/* in spans, after the last sweep */
	uint64_t reported_throttled;	/* waits of the client that the trace has told of */
	int64_t reported_low_bytes;	/* own limit that the log has called too low; 0: none */
	/* enum tri_pressure of the client's cgroup, by the watcher */
	uint32_t group_pressure;
	/* the watcher sleeps until so much is allocated; 0: it does not */
	uint64_t wake_after_bytes;
	/* memory is short: release, and collect if enough was allocated since the last cycle */
	bool urgent;
	bool gives_way;	/* the limit gives way, until the collector has less than half */
	bool gave_way_in_cycle;		/* it gave way since the last cycle ended */
	bool over;			/* the client was told that the limit gives way */

	/* CPU time, in nanoseconds.  Only while there is a limit. */
	struct limiter limiter;
	uint64_t owed_cpu_ns;	/* collector's time that the limiter's bucket had no room for */
	uint64_t unreported_ns;		/* of helpers, and of threads that were scanned */
	uint64_t own_cpu_ns, assist_ns, client_cpu_ns;	/* as read at the last update */
	uint64_t answered_assist_ns;	/* the client's assist_ns as of its last answer */
	uint64_t gc_ns, program_ns;	/* sums while there was a limit */
	clockid_t client_clock;
	bool client_seen;		/* client_clock can be read: it is in our pid namespace */
	uint64_t quota_ns;		/* when the client's CPU quota was read */
};

void limit_init(struct arena *a);

/**
 * Settings or share have changed.  Returns the limit that the pacer is to keep; PACER_NO_LIMIT:
 * none.
 */
int64_t limit_update(struct arena *a);

/**
 * The watcher's orders: keep to this share of the budget; tell the client this enum tri_pressure of
 * its group; release what is free and collect if enough was allocated since the last cycle, as
 * memory is short; and wake the watcher after so much allocation.  After those for share and waking
 * the caller calls pacing_update().
 */
void limit_set_share(struct arena *a, int64_t bytes);
void limit_set_pressure(struct arena *a, uint32_t pressure);
void limit_set_urgent(struct arena *a);
void limit_set_wake_after(struct arena *a, int64_t bytes);

/** Give memory above the limit back at once. */
void limit_release_excess(struct arena *a);

/**
 * Account for CPU time; to be called now and then while marking.  True: the limit gives way from
 * now on, and the caller calls pacing_update().
 */
bool limit_progress(struct arena *a);

/** Whether memory is so short that a cycle should run before it is due. */
bool limit_wants_cycle(struct arena *a);

/* Whether collecting may go on as the limit has it. */
enum limit_verdict {
	LIMIT_KEPT,			/* yes */
	LIMIT_KEPT_AGAIN,		/* yes again, from now on; pacing_update() is due */
	/* no, as it would take over half of the CPU time; pacing_update() is due */
	LIMIT_GIVES_WAY,
};

/** Account for CPU time, and judge.  To be called when a cycle is due. */
enum limit_verdict limit_judge(struct arena *a);

/**
 * Live bytes from which a cycle runs although the limit gives way, as the kernel's limit is near.
 * PACER_NEVER: there is no such bound.
 */
uint64_t limit_cycle_bytes(const struct arena *a);

/**
 * @trigger_bytes, or an earlier trigger at which the limit is to be judged again, or the watcher to
 * be woken.
 */
uint64_t limit_trigger(const struct arena *a, uint64_t trigger_bytes);

/** Correct the overhead in @memory, as of the end of marking, when the heap is at its largest. */
void limit_peak(struct arena *a, struct pacer_memory *memory);

/**
 * Live bytes past which threads also wait for the end of a cycle while the limit gives way.
 * PACER_NEVER: there is no such bound.
 */
uint64_t limit_wait_bytes(const struct arena *a);

/**
 * A cycle has ended and its heap is swept.  Returns whether what lives does not fit into our share.
 */
bool limit_cycle_end(struct arena *a);

#endif
