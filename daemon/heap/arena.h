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
#include "daemon/clients/ending.h"
#include "limit.h"
#include "linked.h"
#include "mark.h"
#include "moved.h"
#include "pacer.h"
#include "daemon/clients/registry.h"

struct fault_guard;

/* Who gives the arena orders: in this process, the registry; and a policy in another one, if there is one. */
enum { FROM_REGISTRY, FROM_POLICY, FROM };

/* One of them, and how far its orders are met. */
struct arena_orders {
	struct board *board;		/* NULL: there is nobody */
	uint32_t met[ORDERS];		/* newest of each kind */
	uint32_t gc, free;		/* newest that were heard: it takes a cycle to meet them */
	uint32_t cycle_gc, cycle_free;	/* … and those that came before this one began */
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

/*
 * From HELLO to the end of the connection.  Everything is owned by the arena's thread, which runs
 * its cycles; marker helpers get at `marker` only.
 */
struct arena {
	struct tri_view view;		/* geometry: our own copies */
	void *base;
	int fd;				/* the memfd, or a collector's of /dev/tricolor */
	bool is_device;
	struct fault_guard *guard;	/* of the mapping */
	int holes_fd;			/* that keeps its holes; -1: none */
	enum phase phase;		/* PHASES: between cycles */
	/* What the module has been told: see device.c. */
	int64_t told_limit_bytes;
	uint64_t told_budget_bytes;
	int32_t told_gc_percent;
	uint32_t told_limiter;
	int sock;
	int32_t pid;			/* SO_PEERCRED */
	int32_t shown_pid;		/* that, or, of another namespace, what the client says: for its own eyes */
	char name[REGISTRY_NAME];	/* for the log */
	bool member;			/* a private collector that takes us for its policy: elect.c */
	uint32_t uid;
	struct claim *claim;		/* of HELLO, until it is the registry's */
	uint64_t hello_number;		/* postmortem.c's */
	uint64_t charged_bytes;		/* users.c; 0: not a client yet */
	struct registry_arena *registry;	/* what others see of it … */
	struct arena_orders orders[FROM];	/* … and want of it: see orders.c */
	struct linked linked;		/* to a policy in another process, if there is one */
	struct ending_watch ending;	/* what ends it */
	bool trace_gc, trace_pacer, trace_scav, trace_limit, checkmark, clobberfree;
	bool told_of_words;		/* checkmark.c */
	bool fresh;			/* no cycle yet: a predecessor may have left marks */

	uint32_t cycle;			/* completed; the same in the client */
	struct pacer pacer;
	struct limit limit;
	uint64_t heap_minimum_bytes;	/* least goal at GOGC 100: see adapt_minimum() */
	struct marker marker;

	/* Requests heard and not yet met. */
	bool triggered;
	uint32_t gc_wanted, free_wanted;
	uint32_t gc_done, free_done;
	/* Nobody has chosen, the configuration's holds; and what the control page says then. */
	bool gc_percent_default, limit_default, policy_default;
	struct arena_defaults defaults;
	int32_t gc_percent_seen;
	int64_t limit_seen;
	uint32_t policy_seen;
	struct moved moved;		/* whether its client has */
	bool stop;			/* let go of the client as soon as no cycle is under way */

	uint64_t attached_ns;
	uint64_t cycle_end_ns;		/* of the last one; 0: none */
	uint64_t gc_cpu_ns;		/* all cycles */
	uint64_t reached_bytes;		/* by the last cycle, from roots */
	uint64_t live_bytes;		/* that, and what was allocated while it marked … */
	uint64_t live_at_bytes;		/* … when allocated_bytes was this */
	uint64_t trigger_bytes;		/* in allocated_bytes */
	uint64_t scavenge_ns;		/* when the scavenger goes on; 0: nothing to do */
	uint64_t scavenge_next_ns;	/* its pause lasts until then, whatever comes up meanwhile */
	double use_now, use_before;	/* most that was used of a goal, in this window and the last */
	uint64_t use_window_ns;
	struct cycle_figures now;
	struct cycle_figures last;	/* of the last cycle that ended */
	uint64_t interrupted_max_ns, interrupted_total_ns, interruptions;	/* all cycles */
	uint32_t threads;		/* at the last handshake */

	uint16_t drained[TRI_BUFFERS];	/* entries of each buffer that this cycle has seen */
};

/* In spans; what the client may have scribbled there is no size. */
static inline uint64_t arena_used_bytes(const struct arena *a)
{
	int64_t pages = tri_read(&a->view.ctl->used_pages);

	return pages < 0 || (uint64_t)pages > a->view.heap_pages ? 0 : (uint64_t)pages << TRI_PAGE_SHIFT;
}

/**
 * Check the file against what its header claims, and fill in @layout from numbers of our own.  False: it is refused,
 * and the client was told why.
 */
bool arena_check_file(struct arena *a, struct tri_layout *layout, uint64_t *heap_va);

/** Map it.  False: as above. */
bool arena_map(struct arena *a, const struct tri_layout *layout, uint64_t heap_va);

/** Undo both, as far as they were done, and close the file. */
void arena_unmap(struct arena *a);

/**
 * Whether a page of the arena was missing when somebody touched it.  What was seen of it since is nothing to rely on.
 * The log says so.
 */
bool arena_has_fault(struct arena *a);

/** Live bytes at this moment, dead objects since the last cycle included; and when the counter was @allocated. */
uint64_t arena_live_bytes(const struct arena *a);
uint64_t arena_live_at(const struct arena *a, uint64_t allocated);

/** Memory of the arena's file: heap, and what belongs to it. */
uint64_t arena_resident_bytes(const struct arena *a);

#endif
