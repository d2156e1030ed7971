/* SPDX-License-Identifier: GPL-2.0-only */
/* tick.h - reading a tree of control groups and splitting its memory: see tick.c */
#ifndef TRICOLOR_TICK_H
#define TRICOLOR_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include "groups.h"

/**
 * Read the tree of @top, split its memory, and set @top->next_ns, the time of the next tick.  The
 * watcher's thread.  @chosen_bytes: the limit of all clients of a group together; 0: none was
 * chosen.
 */
void tick(const struct groups *s, struct limit_group *top, uint64_t chosen_bytes, uint64_t now);

/**
 * Whether clients of @g without a limit may get one and nothing would tell.  Then their limits are
 * read again while they allocate.
 */
static inline bool tick_must_poll(const struct groups *s, const struct limit_group *g)
{
	return s->levels.must_poll && g->level;
}

/** Whether any limit holds for the clients of @g. */
static inline bool tick_limited(const struct limit_group *g, uint64_t chosen_bytes)
{
	return g->limit_bytes != TRI_CGROUP_NONE || chosen_bytes;
}

#endif
