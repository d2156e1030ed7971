/* SPDX-License-Identifier: GPL-2.0-only */
/* tick.h - a look at the arenas of a tree of control groups: see tick.c.  The watcher's thread. */
#ifndef TRICOLOR_TICK_H
#define TRICOLOR_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include "groups.h"

/**
 * Look at the tree of @top, split what there is, and say when to look again.  @chosen_bytes: limit
 * of the clients of a group together that somebody has chosen; 0: none was.
 */
void tick(const struct groups *s, struct limit_group *top, uint64_t chosen_bytes, uint64_t now);

/**
 * Where nobody tells when a limit is written: whether clients that have none are to be looked at,
 * since they may have got one.  They are, while they allocate.
 */
static inline bool tick_listens(const struct groups *s, const struct limit_group *g)
{
	return s->levels.deaf && g->level;
}

/** Whether any limit holds for the clients of @g. */
static inline bool tick_limited(const struct limit_group *g, uint64_t chosen_bytes)
{
	return g->limit_bytes != TRI_CGROUP_NONE || chosen_bytes;
}

#endif
