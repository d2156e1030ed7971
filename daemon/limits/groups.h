/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - which client is in which control group, and which limits hold there
 *
 * All of it belongs to the watcher's thread (watch.c).
 *
 * A *limit group* is a control group that has a limit; there is also one that stands for clients
 * without any limit.  `up` leads to the next group outwards whose limit is larger.  Memory that is
 * used in a group counts in that one as well, which may have less room left.  Groups that are
 * connected by `up` are a *tree*, and a tick handles a tree as a whole.
 */
#ifndef TRICOLOR_GROUPS_H
#define TRICOLOR_GROUPS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alarm.h"
#include "core/system/cgroup.h"
#include "levels.h"
#include "daemon/clients/registry.h"
#include "watched_arena.h"

/* How near a limit is, from tick to tick. */
struct pressure_state {
	uint32_t pressure;		/* enum tri_pressure */
	unsigned int near_ticks;	/* ticks in a row in which it was near */
	unsigned int room_ticks;	/* ticks since then in which it was far */
	/* when cycles were requested last, and the least time until the next request */
	uint64_t requested_ns, request_interval_ns;
	uint64_t other_bytes;		/* as of the last tick */
	/* beside other collectors: the room that we have taken, and when we took more */
	uint64_t room_bytes, raised_ns;
	/* the soft limit that the log has called too low; 0: none */
	uint64_t reported_bytes;
};

/* From the first client that it limits until a while after the last one. */
struct limit_group {
	struct level *level;		/* NULL: it can't be seen */
	uint64_t limit_bytes;		/* TRI_CGROUP_NONE: it has none */
	struct limit_group *up;		/* the next that counts; NULL: the top of its tree */
	struct alarm alarm;
	bool alarmed;			/* since the last tick */
	struct pressure_state own;	/* of its own limit */
	struct pressure_state chosen;	/* of the limit that was chosen for its clients */

	/* Of the top of a tree. */
	unsigned int idle_ticks;	/* ticks in a row in which nothing happened */
	uint64_t ticked_ns;		/* the last tick */
	uint64_t next_ns;		/* the next tick; 0: now; UINT64_MAX: at an event */
	uint64_t period_ns;		/* how long after a tick the next one is due */

	bool used;			/* for groups_tidy() */
	struct limit_group *next;	/* groups come before those that they are in */
};

/* A control group with clients in it. */
struct client_cgroup {
	struct level *level;		/* NULL: it can't be seen */
	struct tri_cgroup cg;		/* where we have found it; version 0: it was sent */
	struct limit_group *group;	/* with the tightest limit; NULL: no memory for one */
	unsigned int others;		/* other collectors in it, when these were counted last */
	unsigned int unjoined;		/* of these, peer markers that have not joined us */
	uint64_t counted_ns;		/* when they were */
	struct client_cgroup *next;
};

/* A share and a pressure that no arena is ever ordered. */
#define GROUPS_UNKNOWN 9u

struct groups {
	struct watched_arena *arenas;
	struct client_cgroup *cgroups;
	struct limit_group *groups;
	struct levels levels;
	bool untidy;			/* an arena has left a client cgroup, or that a group */
	uint64_t tidied_ns;
};

/** The top of @g's tree. */
struct limit_group *groups_top(struct limit_group *g);

/** The group that limits @m; NULL: it has not been found. */
static inline struct limit_group *groups_of(const struct watched_arena *m)
{
	return m->cgroup ? m->cgroup->group : NULL;
}

/** Whether @of is @g, or a group in it; NULL is in none. */
static inline bool groups_is_within(const struct limit_group *of, const struct limit_group *g)
{
	while (of && of != g)
		of = of->up;
	return of;
}

/** Whether @m's memory counts in @g. */
bool groups_in(const struct watched_arena *m, const struct limit_group *g);

/**
 * Forget what @m was ordered, because another policy has given orders.  Then the next tick orders
 * all of it anew.
 */
static inline void groups_order_anew(struct watched_arena *m)
{
	m->share_bytes = GROUPS_UNKNOWN;
	m->pressure = GROUPS_UNKNOWN;
	m->idle = m->gave_back = false;
}

/** Have the next tick of @g's tree as soon as possible. */
void groups_tick_soon(struct limit_group *g);

/** Add arenas that have come, drop those that have left, look up clients that may have moved. */
void groups_update(struct groups *s, uint64_t now);

/** Read all limits again. */
void groups_read_limits(struct groups *s);

/** When groups_tidy() has something to do; UINT64_MAX: nothing. */
uint64_t groups_tidy_ns(const struct groups *s);

/**
 * Free client cgroups and groups that no client is in any more, with the descriptors of their
 * alarms.  This is not done at once, as processes that come and go one by one would have all of it
 * made anew each time.
 */
void groups_tidy(struct groups *s, uint64_t now);

#endif
