/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - which client is in which control group, and which limits hold there
 *
 * All of this belongs to the watcher's thread (watch.c).
 *
 * A *limit group* is a control group that has a limit; there is also one that stands for clients
 * without any limit.  `up` leads to the next group outwards whose limit is larger: memory that is
 * used in a group counts in those as well, and they may have less room left.  Groups that are
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
	unsigned int near_ticks, room_ticks;
	/* when cycles were requested last, and how long not to again */
	uint64_t requested_ns, request_interval_ns;
	uint64_t other_bytes;		/* as of the last tick */
	uint64_t room_bytes, raised_ns;	/* beside other collectors: taken, and when more */
	/* the soft limit that the log has called too low; 0: none */
	uint64_t reported_bytes;
};

/* From the first client that it limits until a while after the last one. */
struct limit_group {
	struct level *level;		/* NULL: can't be seen */
	uint64_t limit_bytes;		/* TRI_CGROUP_NONE */
	struct limit_group *up;		/* the next that counts; NULL: the top of its tree */
	struct alarm alarm;
	bool rang;			/* the alarm, since the last tick */
	struct pressure_state own;	/* of its own limit */
	struct pressure_state chosen;	/* of the limit that was chosen for its clients */

	/* Of the top: when its tree is looked at. */
	unsigned int idle_ticks;
	uint64_t ticked_ns, next_ns, period_ns;	/* next_ns: 0: now; UINT64_MAX: if it rings */

	bool used;			/* while groups are tidied */
	struct limit_group *next;		/* groups come before those that they are in */
};

/* A cgroup with clients. */
struct client_cgroup {
	struct level *level;		/* NULL: can't be seen */
	struct tri_cgroup cg;		/* where we have found it; version 0: it was sent */
	struct limit_group *group;	/* with the tightest limit; NULL: no memory for one */
	unsigned int others;		/* other collectors in there, when they were counted last */
	unsigned int unjoined;		/* of these, peer markers that have not joined us */
	uint64_t counted_ns;		/* when that was */
	struct client_cgroup *next;
};

/* A share and a pressure that no arena is ever ordered. */
#define GROUPS_UNKNOWN 9u

struct groups {
	struct watched_arena *arenas;
	struct client_cgroup *cgroups;
	struct limit_group *groups;
	struct levels levels;
	bool untidy;			/* somebody has left a client cgroup or a group */
	uint64_t tidied_ns;
};

/** The top of @g's tree. */
struct limit_group *groups_top(struct limit_group *g);

/** The group that limits @m; NULL: it has not been found. */
static inline struct limit_group *groups_of(const struct watched_arena *m)
{
	return m->cgroup ? m->cgroup->group : NULL;
}

/** Whether @m counts in @g. */
bool groups_in(const struct watched_arena *m, const struct limit_group *g);

/**
 * Nothing is known of what is in force for @m, because somebody else has given orders: whatever
 * comes out of the next tick is ordered.
 */
static inline void groups_order_anew(struct watched_arena *m)
{
	m->share_bytes = GROUPS_UNKNOWN;
	m->pressure = GROUPS_UNKNOWN;
	m->idle = m->gave_back = false;
}

/** Look at @g's tree as soon as possible. */
void groups_tick_soon(struct limit_group *g);

/** Take those that have come, let go of those that have left, find those that may have moved. */
void groups_update(struct groups *s, uint64_t now);

/** Read all limits again. */
void groups_read_limits(struct groups *s);

/** Collectors whose arenas count in @g, as far as they can be seen; ours included. */
unsigned int groups_collectors(const struct groups *s, const struct limit_group *g);

/**
 * Count those in @g's places again, if that was not done lately; @grown: nor a moment ago, since
 * somebody has grown.
 */
void groups_count(const struct groups *s, const struct limit_group *g, bool grown, uint64_t now);

/** Count them at the next opportunity, since they are others now. */
void groups_recount(struct groups *s);

/** Peer markers of an elected policy in @g, among the others, that have not joined us. */
unsigned int groups_unjoined(const struct groups *s, const struct limit_group *g);

/** When groups_tidy() has something to do; UINT64_MAX: nothing. */
uint64_t groups_tidy_ns(const struct groups *s);

/**
 * Let go of places and groups that nobody is in any more, with the descriptors of their alarms.
 * Not at once: processes that come and go one by one would have all of it made anew each time.
 */
void groups_tidy(struct groups *s, uint64_t now);

#endif
