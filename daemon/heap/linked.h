/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linked.h - the marker's end of a link (daemon/clients/link.h): an arena whose policy is another
 * process
 *
 * All of it is the arena's thread's, but for what says that any thread may call it.
 */
#ifndef TRICOLOR_LINKED_H
#define TRICOLOR_LINKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/clients/link.h"

struct arena;

/* Part of struct arena. */
struct linked {
	int given[2];	/* link and board as handed over, and not looked at yet; -1 */
	int sock;			/* the link; -1: there is none */
	bool elected;			/* by private collectors: see elect.c; else of the agent */
	bool splits;	/* it has ordered a share, or the one before it had: our watcher rests */
	struct link_board board;
	uint64_t wanted_ns;		/* since when the policy has not looked; 0: it has */
};

/** There was none yet. */
void linked_init(struct linked *l);

/** The policy orders a share: from now on it does what our own watcher did. */
void linked_splits(struct arena *a);

/*
 * Those that return a bool: true says that a link has begun or ended, so pacing_update() is to
 * follow, and, if it has begun, orders_take(): what is on the board may have been put there before
 * anybody could ring.
 */

/**
 * If a policy was handed over, it takes the place of one before.  What is wrong with it the agent
 * is told.
 */
bool linked_begin(struct arena *a);

/** If an election has had a result, follow it. */
bool linked_elected(struct arena *a);

/** The link is readable: there may be orders on its board. */
bool linked_receive(struct arena *a);

/**
 * A cycle starts, or the heap does not fit into its share: the watcher, ours or the policy's, is
 * told.
 */
bool linked_wake(struct arena *a);
bool linked_report_overfull(struct arena *a);

/** Tell the policy that orders were met. */
bool linked_met(struct arena *a);

/** Whether the arena of this process has a policy in another one.  Any thread. */
bool linked_is(void);

/**
 * Its policy, as the kernel says; 0: there is none, or it is in another pid namespace.  Any thread.
 */
pid_t linked_policy(void);

/** The arena ends. */
void linked_exit(struct arena *a);

#endif
