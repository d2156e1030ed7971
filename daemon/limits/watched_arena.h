/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watched_arena.h - an arena as the watcher knows it: what was read of it, and what it was ordered
 *
 * All of it belongs to the watcher's thread.
 */
#ifndef TRICOLOR_WATCHED_ARENA_H
#define TRICOLOR_WATCHED_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "budget.h"
#include "core/heap/layout.h"

struct client_cgroup;
struct level;
struct registry_arena;

/* From the tick that finds it in the registry to the one that does not. */
struct watched_arena {
	struct registry_arena *r;	/* a reference */
	struct client_cgroup *cgroup;
	struct level *claimed;		/* its group, as the client says; NULL: it does not */
	uint64_t looked_up_ns;		/* when @cgroup was looked up */
	bool present;			/* for groups_update(): it is still in the registry */

	/* As of the last tick. */
	struct budget_pace pace;
	uint64_t allocated_bytes, cycles, read_ns;
	uint64_t resident_bytes, private_bytes, reached_bytes;
	bool active;
	bool idle;			/* it is to wake the watcher, and has not allocated since */
	bool gave_back;			/* it was ordered to give memory back since it is idle */
	bool exempt;			/* it has a limit of its own, or wants none */
	uint64_t in_force_bytes;	/* the limit that it keeps, whoever has ordered that */
	uint64_t share_bytes;		/* as ordered; UINT64_MAX: none */
	uint32_t pressure;
	struct watched_arena *next;
};

/**
 * Read @m's counters in the control page; all of @ctl is 0 if they can't be read.  Returns whether
 * the arena has allocated since the last watched_arena_read().
 */
bool watched_arena_read_counters(const struct watched_arena *m, struct tri_ctl *ctl);

/** Whether @m's arena has allocated since the last watched_arena_read(). */
bool watched_arena_has_allocated(const struct watched_arena *m);

/** Read all that a tick needs of @m; @b gets what the split needs. */
void watched_arena_read(struct watched_arena *m, struct budget_arena *b, uint64_t now);

/** Order a share; UINT64_MAX: none. */
void watched_arena_order_share(struct watched_arena *m, uint64_t bytes);

/** Have @m's client told that its limit is this near, if it was told something else before. */
void watched_arena_order_pressure(struct watched_arena *m, uint32_t pressure);

/** Have @m's arena wake the watcher when it allocates again. */
void watched_arena_set_idle(struct watched_arena *m);

#endif
