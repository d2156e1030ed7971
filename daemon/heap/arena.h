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
 * Who gives the arena orders: in this process, the registry; and a policy in another one, if there
 * is one.
 */
enum { FROM_REGISTRY, FROM_POLICY, FROM };

/* One of them, and how far its orders are met. */
struct arena_orders {
	struct board *board;		/* NULL: there is nobody */
	uint32_t met[ORDERS];		/* newest of each kind */
	uint32_t gc, free;		/* newest that were received: it takes a cycle to meet
					 * them */
	uint32_t cycle_gc, cycle_free;	/* newest that came before this cycle began: it meets
					 * them */
};

/* Settings of a client that has not chosen them. */
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
	int32_t pid;	/* SO_PEERCRED; 0: it is in another pid namespace, and not known */
	/* the number that the client has for itself, for lines that it reads */
	int32_t shown_pid;
	uint32_t uid;
	uint32_t threads;		/* at the last handshake */
	char name[REGISTRY_NAME];	/* for the log */
	bool is_peer_marker;	/* a private collector that takes us for its policy: elect.c */
	struct claim *claim;		/* of HELLO, until it is the registry's */
	struct client_end_watch end_watch;	/* what ends it */
	uint64_t hello_number;		/* of postmortem_hello() */
	uint64_t charged_bytes;		/* what users.c counts for it; 0: it is not a client yet */
	uint64_t attached_ns;		/* CLOCK_MONOTONIC */
};

/* Lines that the client wants on its standard error (TRICOLOR_TRACE), from HELLO on. */
struct arena_trace {
	bool gc, pacer, scav, limit;
};

/* TRICOLOR_DEBUG, from HELLO on. */
struct arena_debug {
	bool checkmark, clobberfree;
	bool reported_words;		/* checkmark.c: words in roots, once */
};

/*
 * Requests of the client, which it numbers, and how far they are met; the numbers are on its
 * control page as well.
 */
struct arena_requests {
	bool triggered;			/* it has passed the trigger */
	uint32_t gc_wanted, free_wanted;	/* newest that was received */
	uint32_t gc_cycle, free_cycle;	/* newest that came before this cycle began */
	uint32_t gc_done, free_done;	/* newest that was met */
};

/* Settings that nobody has chosen: see settings.h. */
struct arena_settings {
	bool gc_percent_default, limit_default, policy_default;	/* the configuration's holds */
	struct arena_defaults defaults;	/* that */
	/* What the control page says as long as nobody has chosen. */
	int32_t gc_percent_seen;
	int64_t limit_seen;
	uint32_t policy_seen;
};

/* What lived when the last cycle ended.  In bytes; pacing.c. */
struct arena_live {
	uint64_t reached_bytes;		/* by that cycle, from roots */
	uint64_t bytes;			/* reached_bytes, and what was allocated while it marked */
	uint64_t at_bytes;		/* value of the client's allocation counter to which
					 * bytes belongs */
};

struct arena_pacing {
	/* of the next cycle, a value of the allocation counter; UINT64_MAX: none */
	uint64_t trigger_bytes;
	uint64_t heap_minimum_bytes;	/* least goal at GOGC 100: see adapt_minimum() */
};

/* When free pages are given back.  CLOCK_MONOTONIC; scavenge.c. */
struct arena_scavenger {
	uint64_t step_ns;		/* the next step; 0: nothing to do */
	/* the pause after the last step lasts until then, whatever comes up */
	uint64_t earliest_ns;
	uint64_t use_window_ns;		/* when this window began */
	/* the most that was used of a goal in this window, and in the one before */
	double use_now, use_before;
};

/* Sums over all cycles; cycle.c. */
struct arena_totals {
	uint64_t gc_cpu_ns;		/* of this process */
	uint64_t interrupted_max_ns, interrupted_total_ns, interruptions;
};

/* What was published to the module last: see device.c. */
struct arena_published {
	int64_t limit_bytes;
	uint64_t budget_bytes;
	int32_t gc_percent;
	uint32_t limiter;
};

/*
 * From HELLO to the end of the connection.  All of it is owned by the arena's thread, which runs
 * its cycles.  Helpers get at `marker` only: what changes there while they are at work is under the
 * job's lock.
 */
struct arena {
	/* The file of the heap; constant from attach on. */
	struct tri_view view;		/* geometry: our own copies */
	void *base;			/* of its mapping */
	int fd;				/* the memfd, or a collector's of /dev/tricolor */
	bool is_device;
	struct fault_guard *guard;	/* of the mapping */
	int holes_fd;			/* that keeps its holes; -1: none */

	struct arena_client client;
	struct relocation_check relocation;	/* whether it is where we are */
	struct arena_trace trace;
	struct arena_debug debug;

	/* What others see of it, and want of it. */
	struct registry_arena *registry;
	struct arena_orders orders[FROM];
	struct linked linked;		/* to a policy in another process, if there is one */
	struct arena_published published;

	struct arena_requests requests;
	struct arena_settings settings;
	bool stop;			/* let go of the client as soon as no cycle is under way */

	/* Pacing. */
	struct pacer pacer;
	struct limit limit;
	struct arena_live live;
	struct arena_pacing pacing;
	struct arena_scavenger scavenger;

	/* Cycles. */
	uint32_t cycle;			/* completed; the client counts the same */
	bool fresh;			/* no cycle yet: a predecessor may have left marks */
	enum phase phase;		/* PHASES: between cycles */
	uint64_t cycle_end_ns;		/* of the last one, CLOCK_MONOTONIC; 0: none */
	struct cycle_figures now;	/* the one under way */
	struct cycle_figures last;	/* the last one that has ended */
	struct arena_totals totals;
	struct marker marker;
	uint16_t drained[TRI_BUFFERS];	/* entries of each buffer that this cycle has seen */
};

/* In spans; what the client may have scribbled there is no size. */
static inline uint64_t arena_used_bytes(const struct arena *a)
{
	int64_t pages = tri_read(&a->view.ctl->used_pages);

	return pages < 0 || (uint64_t)pages > a->view.heap_pages ?
		       0 :
		       (uint64_t)pages << TRI_PAGE_SHIFT;
}

/**
 * Check the file against what its header claims, and fill in @layout from numbers of our own.
 * False: it is refused, and the client was told why.
 */
bool arena_check_file(struct arena *a, struct tri_layout *layout, uint64_t *heap_va);

/** Map it.  False: as above. */
bool arena_map(struct arena *a, const struct tri_layout *layout, uint64_t heap_va);

/** Undo both, as far as they were done, and close the file. */
void arena_unmap(struct arena *a);

/**
 * Whether a page of the arena was missing when somebody touched it.  What was seen of it since is
 * nothing to rely on. The log says so.
 */
bool arena_has_fault(struct arena *a);

/**
 * Live bytes at this moment, dead objects since the last cycle included; and when the counter was
 * @allocated.
 */
uint64_t arena_live_bytes(const struct arena *a);
uint64_t arena_live_at(const struct arena *a, uint64_t allocated);

/** Memory of the arena's file: heap, and what belongs to it. */
uint64_t arena_resident_bytes(const struct arena *a);

#endif
