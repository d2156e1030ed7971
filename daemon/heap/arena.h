/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * arena.h - one client's heap, as the daemon sees it
 */
#ifndef TRICOLOR_ARENA_H
#define TRICOLOR_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/heap/layout.h"
#include "core/proto/client.h"
#include "daemon/clients/client_end.h"
#include "limit.h"
#include "linked.h"
#include "mark.h"
#include "relocation.h"
#include "pacer.h"
#include "daemon/clients/registry.h"

struct fault_guard;

/*
 * Orders come from the registry of this process, and from a policy in another one if there is one.
 */
enum { FROM_REGISTRY, FROM_POLICY, FROM };

/* Where orders come from, and how far these are met. */
struct arena_orders {
	struct board *board;		/* NULL: nobody gives orders here */
	uint32_t met[ORDERS];		/* the newest order of each kind that is met */
	/* The newest orders for a cycle and for a release, which take a cycle to meet. */
	uint32_t gc, free;
	/* Those of them that had come when this cycle began, and which it meets. */
	uint32_t cycle_gc, cycle_free;
};

/* The settings of clients that have not chosen any. */
struct arena_defaults {
	int32_t gc_percent;
	int64_t memory_limit_bytes;
	uint32_t limit_policy;
};

/* What a cycle's phases cost, for the trace. */
struct cycle_figures {
	uint64_t wall_ns[PHASES], cpu_ns[PHASES];
	uint64_t start_bytes, end_bytes, live_bytes, goal_bytes;
	uint64_t interrupted_max_ns, interrupted_total_ns;
	uint32_t interruptions, rounds, workers;
	uint64_t root_bytes, objects, scan_bytes;
};

/* The client, and the connection to it. */
struct arena_client {
	int sock;
	int32_t pid;			/* SO_PEERCRED; 0: it is in another PID namespace */
	/* the PID in the client's own namespace, for lines that the client reads */
	int32_t shown_pid;
	uint32_t uid;
	uint32_t threads;		/* at the last handshake */
	char name[REGISTRY_NAME];	/* for the log */
	bool is_peer_marker;		/* it is a private collector of which we are the policy */
	struct claim *claim;		/* what HELLO says, until the registry has it */
	struct client_end_watch end_watch;	/* by which we learn how it ends */
	uint64_t hello_number;		/* of postmortem_hello() */
	uint64_t charged_bytes;		/* what users.c counts for it; 0: it is no client yet */
	uint64_t attached_ns;		/* CLOCK_MONOTONIC */
};

/* Lines that the client wants on its standard error (TRICOLOR_TRACE), from HELLO on. */
struct arena_trace {
	bool gc, pacer, scav, limit;
};

/* TRICOLOR_DEBUG, from HELLO on. */
struct arena_debug {
	bool checkmark, clobberfree;
	bool reported_words;		/* checkmark.c has reported words in roots */
};

/*
 * Requests of the client, which numbers them, and how far they are met.  The numbers are on the
 * control page as well.
 */
struct arena_requests {
	bool triggered;			/* it has passed the trigger */
	uint32_t gc_wanted, free_wanted;	/* the newest that was received */
	uint32_t gc_cycle, free_cycle;	/* the newest that had come when this cycle began */
	uint32_t gc_done, free_done;	/* the newest that is met */
};

/* Settings that nobody has chosen: see settings.h. */
struct arena_settings {
	bool gc_percent_default, limit_default, policy_default;	/* that of `defaults` holds */
	struct arena_defaults defaults;	/* of the configuration */
	/* What the control page says as long as nobody has chosen. */
	int32_t gc_percent_seen;
	int64_t limit_seen;
	uint32_t policy_seen;
};

/* What lived when the last cycle ended: pacing.c. */
struct arena_live {
	uint64_t reached_bytes;		/* by that cycle, from roots; and kept for finalizers */
	uint64_t bytes;			/* reached_bytes, and what was allocated while it marked */
	uint64_t at_bytes;		/* the client's allocation counter at that time */
};

struct arena_pacing {
	/* the allocation counter at which the next cycle starts; UINT64_MAX: at none */
	uint64_t trigger_bytes;
	uint64_t heap_minimum_bytes;	/* least goal at GOGC 100: see adapt_minimum() */
};

/* When free pages are given back: scavenge.c.  Times are of CLOCK_MONOTONIC. */
struct arena_scavenger {
	uint64_t step_ns;		/* when the next step is due; 0: there is nothing to do */
	uint64_t earliest_ns;		/* no step is due before, whatever comes up */
	uint64_t use_window_ns;		/* when this window began */
	/* the largest part of a goal that was used in this window, and in the one before */
	double use_now, use_before;
};

/* Sums over all cycles: cycle.c. */
struct arena_totals {
	uint64_t gc_cpu_ns;		/* spent by this process */
	uint64_t interrupted_max_ns, interrupted_total_ns, interruptions;
	uint64_t allocated_bytes, freed_bytes;	/* highest figures of the client so far */
};

/* What was published to the module last: see device.c. */
struct arena_published {
	int64_t limit_bytes;
	uint64_t budget_bytes;
	int32_t gc_percent;
	uint32_t limiter;
};

/*
 * It lives from HELLO to the end of the connection.  All of it belongs to the arena's thread, which
 * runs its cycles.  Helpers use `marker` only; what changes there while they work is under the
 * job's lock.
 */
struct arena {
	/* The file of the heap; constant from attach on. */
	struct tri_view view;		/* its geometry is our own copy */
	void *base;			/* of the mapping */
	int fd;				/* the memfd, or a collector's of /dev/tricolor */
	bool is_device;
	struct fault_guard *guard;	/* of the mapping */
	int holes_fd;			/* of backing_guard_holes(); -1: none */

	struct arena_client client;
	struct relocation_check relocation;	/* whether the client has moved */
	struct arena_trace trace;
	struct arena_debug debug;

	/* What others see of the arena, and order it to do. */
	struct registry_arena *registry;
	struct arena_orders orders[FROM];
	struct linked linked;		/* to a policy in another process, if there is one */
	struct arena_published published;

	struct arena_requests requests;
	struct arena_settings settings;
	bool stop;			/* the connection ends as soon as no cycle is under way */

	/* Pacing. */
	struct pacer pacer;
	struct limit limit;
	struct arena_live live;
	struct arena_pacing pacing;
	struct arena_scavenger scavenger;

	/* Cycles. */
	uint32_t cycle;			/* cycles completed; the client counts them, too */
	bool fresh;			/* no cycle yet; another collector may have left marks */
	enum phase phase;		/* PHASES: between cycles */
	uint64_t cycle_end_ns;		/* of the last one, CLOCK_MONOTONIC; 0: none */
	struct cycle_figures now;	/* the one under way */
	struct cycle_figures last;	/* the last one that has ended */
	struct arena_totals totals;
	struct marker marker;
	uint16_t drained[TRI_BUFFERS];	/* entries of each buffer that this cycle has seen */
};

/* Bytes in spans; 0 if the client's number cannot be true. */
static inline uint64_t arena_used_bytes(const struct arena *a)
{
	int64_t pages = tri_read(&a->view.ctl->used_pages);

	return pages < 0 || (uint64_t)pages > a->view.heap_pages ?
		       0 :
		       (uint64_t)pages << TRI_PAGE_SHIFT;
}

/**
 * Check the file against what its header claims, and fill in @layout from our own copies of its
 * numbers.  False: it is refused, and the client was told why.
 */
bool arena_check_file(struct arena *a, struct tri_layout *layout, uint64_t *heap_va);

/** Map the file.  False: as above. */
bool arena_map(struct arena *a, const struct tri_layout *layout, uint64_t heap_va);

/** Undo both, as far as they were done, and close the file. */
void arena_unmap(struct arena *a);

/**
 * Whether a page of the arena was missing when a thread touched it, which the log then says.  What
 * was read of the arena since can't be relied on.
 */
bool arena_has_fault(struct arena *a);

/**
 * Live bytes at this moment, with what has died since the last cycle; and the same when the
 * allocation counter was @allocated.
 */
uint64_t arena_live_bytes(const struct arena *a);
uint64_t arena_live_at(const struct arena *a, uint64_t allocated);

/** Memory of the arena's file: the heap and its metadata. */
uint64_t arena_resident_bytes(const struct arena *a);

#endif
