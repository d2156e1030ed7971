/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * board.h - the memory that the thread that marks a heap shares with those who give it orders
 *
 * A board belongs to one arena.  The *marker*, which is the arena's thread, writes figures to it.
 * Those who decide leave *orders* on it.  Neither side waits for the other.  A sequence lock
 * protects the figures.  Each kind of order has one mailbox, in which the newest value wins, so
 * that nothing can be full.
 *
 * Within one process a board is plain memory (registry.c).  Between two processes it is a page of a
 * memory file (link.h), and each side takes the other for hostile.  So a side never reads back what
 * it has written itself.  It keeps the numbers of its orders, or of those that it has met, in
 * memory of its own, and writes copies of them.  What it reads from the board can change at any
 * time, so each word is read once, checked, and used.
 */
#ifndef TRICOLOR_BOARD_H
#define TRICOLOR_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The phases of a cycle; PHASES: no cycle is under way. */
enum phase { PHASE_BARRIER, PHASE_MARK, PHASE_TERMINATION, PHASE_SWEEP, PHASES };

/* Figures as of @published_ns.  All are 64-bit words, which are copied one by one. */
struct board_figures {
	uint64_t published_ns;		/* CLOCK_MONOTONIC */
	int64_t gc_percent;		/* -1: off */
	int64_t limit_bytes;		/* in force; PACER_NO_LIMIT: none */
	uint64_t allocated_bytes;	/* since the start, as the client counts it; only rises */
	uint64_t freed_bytes;		/* of that by the program itself; only rises */
	uint64_t live_bytes;		/* marked by the last cycle */
	uint64_t reached_bytes;		/* of that, without what was allocated while it marked */
	uint64_t now_bytes;		/* live_bytes, and what was allocated since */
	uint64_t goal_bytes;		/* PACER_NEVER: collection is off */
	uint64_t trigger_bytes;		/* of live bytes; PACER_NEVER as well */
	uint64_t heap_bytes;		/* in spans */
	uint64_t peak_heap_bytes;
	uint64_t free_bytes;		/* free pages that still have memory */
	uint64_t released_bytes;	/* given back, all in all */
	uint64_t cycles, forced_cycles;
	uint64_t mark_cpu_ns;		/* of the collector, all cycles and all their phases */
	uint64_t assist_ns;		/* of the client's allocating threads */
	uint64_t interrupted_max_ns;	/* longest of one thread */
	uint64_t interrupted_total_ns;
	uint64_t interruptions;
	uint64_t threads;		/* at the last handshake */
	uint64_t cycle_end_ns;		/* of the last cycle; 0: none */
	uint64_t cycle_wall_ns;		/* how long the last cycle took, without the sweep */
	uint64_t cycle_cpu_ns;		/* what it cost, with the sweep */
	uint64_t cycle_scan_bytes, cycle_objects, cycle_root_bytes;
	uint64_t overhead_bytes;	/* beside objects and free pages, after the last cycle */
	uint64_t bound_bytes;		/* after the last cycle: memory that can't be released */
	uint64_t cap_bytes;		/* GOGC lets it use no more; PACER_NEVER: no bound */
	uint64_t pressure;		/* enum tri_pressure, as its client is told */
	uint64_t limit_events;		/* times that the limit had to give way */
	uint64_t limit_policy;		/* enum tri_limit_policy */
	uint64_t limited_gc_ns, limited_program_ns;	/* CPU time under a limit: see limit.c */
	/*
	 * How many allocations waited because of the kernel's limit, how long in all, and at most.
	 */
	uint64_t throttled, throttled_ns, throttled_max_ns;
};

#define BOARD_WORDS (sizeof(struct board_figures) / sizeof(uint64_t))

/* What an arena can be ordered to do.  Orders with a value set it; the others act once. */
enum board_order {
	ORDER_GC_PERCENT,	/* value: per cent; -1: off */
	ORDER_MEMORY_LIMIT,	/* value: bytes; PACER_NO_LIMIT: none */
	ORDER_GC,		/* run a cycle that begins after the order */
	ORDER_FREE,		/* the same, and then give free memory back */
	ORDER_PUBLISH,		/* publish figures of now */
	ORDER_DEFAULTS,		/* the configuration's defaults have changed */
	ORDER_SHARE,		/* value: share of its cgroup's budget; PACER_NO_LIMIT: none */
	ORDER_PRESSURE,		/* value: enum tri_pressure of its cgroup */
	ORDER_WAKE_AFTER,	/* value: allocation after which to wake the watcher; 0: do not */
	/* memory is short: release, and collect if enough was allocated since the last cycle */
	ORDER_URGENT,
	ORDER_STOP,		/* the daemon ends: close the connection after this cycle */
	ORDERS,
};

struct board_mailbox {
	_Atomic(int64_t) value;
	_Atomic(uint32_t) asked;	/* orders so far; written by those who give them */
	_Atomic(uint32_t) done;		/* the newest that is met; written by the marker */
};

/* What the marker wants those to know who give orders. */
enum {
	BOARD_MET = 1,			/* orders are met, which a thread may be waiting for */
	BOARD_WAKE = 2,			/* a cycle starts, and the watcher slept */
	BOARD_OVERFULL = 4,		/* the heap does not fit into its share */
};

/* The settings of a client that has not chosen any: see settings_apply_defaults(). */
struct board_defaults {
	_Atomic(int64_t) memory_limit_bytes;	/* TRI_LIMIT_* */
	_Atomic(int32_t) gc_percent;		/* -1: off */
	_Atomic(uint32_t) limit_policy;		/* enum tri_limit_policy */
};

/* At first all is zero but the phase. */
struct board {
	/* Written by the marker. */
	_Atomic(uint32_t) sequence;	/* odd: figures are being written */
	_Atomic(uint32_t) phase;	/* enum phase */
	_Atomic(uint64_t) figures[BOARD_WORDS];
	_Atomic(uint32_t) wants;	/* BOARD_*; cleared by those who give orders */

	/* Written by those who give orders. */
	struct board_mailbox mailbox[ORDERS];
	struct board_defaults defaults;
	_Atomic(uint32_t) has_orders;	/* a hint that there are orders, read while marking */
	_Atomic(uint32_t) asleep;	/* the watcher sleeps until a cycle starts: see watch.c */
};

/* ---- The marker ---- */

void board_publish(struct board *b, const struct board_figures *f);

static inline void board_set_phase(struct board *b, unsigned int phase)
{
	atomic_store_explicit(&b->phase, phase, memory_order_relaxed);
}

/**
 * Whether there is an order of @kind that is newer than @met, the newest one that is met; and its
 * number and value.
 */
bool board_take(struct board *b, enum board_order kind, uint32_t met, uint32_t *number,
		int64_t *value);

static inline void board_done(struct board *b, enum board_order kind, uint32_t number)
{
	atomic_store(&b->mailbox[kind].done, number);
}

/* ---- Those who give orders ---- */

/** Take a consistent copy.  False: @tries did not give one, and @f is as it was. */
bool board_read(struct board *b, struct board_figures *f, unsigned int tries);

/** Leave order @number, which is one more than the last number of its kind. */
void board_order(struct board *b, enum board_order kind, uint32_t number, int64_t value);

/** Whether order @number is met, as the marker says. */
static inline bool board_is_met(struct board *b, enum board_order kind, uint32_t number)
{
	return (int32_t)(atomic_load(&b->mailbox[kind].done) - number) >= 0;
}

#endif
