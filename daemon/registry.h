/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * registry.h - the arenas that this daemon serves, for all but their own threads
 *
 * An arena's thread shares nothing of its struct arena.  What others may know of an arena is a copy
 * here, which its thread publishes; what others want of it they leave here as an order, which its
 * thread takes when it gets there.
 *
 * Neither side waits for the other.  Figures are under a sequence lock: the arena's thread just
 * writes, a reader that met it reads again.  Orders are one mailbox a kind, in which the newest
 * value wins: nothing can be full.  The list's lock is taken by an arena's thread only when it
 * enters and leaves, and held by the others for a few pointers: never over I/O, a wait, or a copy
 * of figures.
 */
#ifndef TRICOLOR_REGISTRY_H
#define TRICOLOR_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All words: copied one by one.  Bytes, nanoseconds, or numbers, as of @published_ns. */
struct registry_figures {
	uint64_t published_ns;		/* CLOCK_MONOTONIC */
	int64_t gc_percent;		/* -1: off */
	int64_t limit_bytes;		/* in force; PACER_NO_LIMIT: none */
	uint64_t allocated_bytes;	/* since the start, as the client counts it */
	uint64_t live_bytes;		/* marked by the last cycle */
	uint64_t now_bytes;		/* that, and allocated since */
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
	uint64_t cycle_wall_ns;		/* how long it took, without the sweep … */
	uint64_t cycle_cpu_ns;		/* … and what it cost, with it */
	uint64_t cycle_scan_bytes, cycle_objects, cycle_root_bytes;
	uint64_t overhead_bytes;	/* beside objects and free pages, after the last cycle */
	uint64_t bound_bytes;		/* after the last cycle: memory that can't be released */
	uint64_t cap_bytes;		/* GOGC lets it use no more; PACER_NEVER */
	uint64_t pressure;		/* enum tri_pressure, as its client is told */
	uint64_t limit_events;		/* times that the limit had to give way */
	uint64_t limit_policy;		/* enum tri_limit_policy */
	uint64_t limited_gc_ns, limited_program_ns;	/* CPU time under a limit: see limit.c */
};

#define REGISTRY_WORDS (sizeof(struct registry_figures) / sizeof(uint64_t))

/* What an arena can be told to do.  Those with a value set it; the others do a thing once. */
enum registry_order {
	ORDER_GC_PERCENT, /* value: -1: off */
	ORDER_MEMORY_LIMIT, /* value: PACER_NO_LIMIT: none */
	ORDER_GC, /* a cycle that begins after the order */
	ORDER_FREE, /* the same, and then free memory goes back */
	ORDER_PUBLISH, /* figures of now */
	ORDER_DEFAULTS, /* the configuration's defaults have changed */
	ORDER_SHARE, /* value: of the budget of its cgroup; PACER_NO_LIMIT: none */
	ORDER_PRESSURE, /* value: enum tri_pressure of its cgroup */
	ORDER_DOZE, /* value: allocation after which to ring the watcher, which sleeps until then */
	ORDER_URGENT, /* memory is short: release, and collect if it is worth it */
	ORDER_STOP, /* the daemon ends: let go of the client after this cycle */
	ORDERS,
};

struct registry_mailbox {
	_Atomic(int64_t) value;
	_Atomic(uint32_t) asked;	/* orders so far; written under the list's lock */
	_Atomic(uint32_t) done;		/* newest that was met; the arena's thread */
};

/* From attach to the last reference.  Made by the arena's thread; freed by whoever lets go last. */
struct registry_arena {
	/* Constant. */
	uint64_t id;			/* never used again by this daemon */
	int32_t pid; /* SO_PEERCRED, as this daemon sees it; 0: not in its namespace */
	uint32_t uid, gid;
	char comm[16];
	int64_t attached_s;		/* wall clock */
	uint64_t attached_ns;		/* CLOCK_MONOTONIC */
	uint64_t arena_bytes;		/* address space of the heap */
	int order_fd;			/* eventfd: readable when there are orders */

	/* The arena's thread. */
	_Atomic(uint32_t) phase;	/* enum phase; PHASES: no cycle */
	_Atomic(uint32_t) sequence;	/* odd: figures are being written */
	_Atomic(uint64_t) figures[REGISTRY_WORDS];
	_Atomic(int) file;		/* a duplicate of the arena's, or -1 */
	_Atomic(bool) gone;		/* it has left; orders will not be met */

	struct registry_mailbox mailbox[ORDERS];
	_Atomic(bool) rung;		/* hint that order_fd is readable, cheaper than a read */
	_Atomic(uint32_t) news;		/* futex: an order was met, or the arena left */
	_Atomic(uint32_t) refs;

	/* The list's lock. */
	struct registry_arena *next, **prev;
	char *cgroup;			/* path of the client's; NULL: not known (yet) */
};

/* ---- The arena's thread ---- */

/** A new member of the list; NULL and errno.  @pid, @uid, @gid: of its client. */
struct registry_arena *registry_enter(pid_t pid, uid_t uid, gid_t gid, uint64_t arena_bytes);

/** Out of the list.  Whoever waits for an order is told.  The caller's reference is gone. */
void registry_leave(struct registry_arena *r);

/** Others may look at the arena's file: size, and what pread() gives. */
void registry_set_file(struct registry_arena *r, int fd);

void registry_publish(struct registry_arena *r, const struct registry_figures *f);

static inline void registry_phase(struct registry_arena *r, unsigned int phase)
{
	atomic_store_explicit(&r->phase, phase, memory_order_relaxed);
}

/**
 * Whether there is a new order of @kind: its number and value.  To be asked after order_fd was
 * read. Once the order is met, registry_done() tells those who wait for it.
 */
bool registry_take(struct registry_arena *r, enum registry_order kind, uint32_t *number,
		   int64_t *value);
void registry_done(struct registry_arena *r, enum registry_order kind, uint32_t number);

/** Newest order of @kind that was met. */
static inline uint32_t registry_met(struct registry_arena *r, enum registry_order kind)
{
	return atomic_load_explicit(&r->mailbox[kind].done, memory_order_relaxed);
}

/* ---- Everybody else ---- */

/** A reference to arena @id, or NULL. */
struct registry_arena *registry_get(uint64_t id);
void registry_put(struct registry_arena *r);

/** References to up to @room arenas, oldest first.  Returns how many there are in all. */
size_t registry_all(struct registry_arena **list, size_t room);

/** A consistent copy. */
void registry_read(struct registry_arena *r, struct registry_figures *f);

/** Leave an order.  Returns its number for registry_wait(). */
uint32_t registry_order(struct registry_arena *r, enum registry_order kind, int64_t value);

/** Wait until order @number was met: 0; -ETIMEDOUT at @until_ns; -ESRCH: the arena has left. */
int registry_wait(struct registry_arena *r, enum registry_order kind, uint32_t number,
		  uint64_t until_ns);

/** Wait until the list is empty, at most until @until_ns.  Returns how many arenas are left. */
size_t registry_wait_empty(uint64_t until_ns);

size_t registry_count(void);

/** An eventfd, readable after arenas came or went, for one watcher more.  Negative: -errno. */
int registry_watch(void);

/** The cgroup of @r's client.  registry_cgroup(): false: not known, or longer than @room. */
void registry_set_cgroup(struct registry_arena *r, const char *path);
bool registry_cgroup(struct registry_arena *r, char *path, size_t room);

#endif
