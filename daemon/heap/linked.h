/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linked.h - the marker's end of a link (daemon/clients/link.h): an arena whose policy is another
 * process
 *
 * All of it is for the arena's thread, except where any thread is said.
 */
#ifndef TRICOLOR_LINKED_H
#define TRICOLOR_LINKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/clients/link.h"

struct arena;

/* A part of struct arena. */
struct linked {
	int given[2];			/* link and board, handed over and not checked yet; -1 */
	int sock;			/* the link; -1: there is none */
	bool elected;			/* by private collectors (elect.c), not from the agent */
	bool splits;			/* it orders shares, or the last one did, and ours pauses */
	struct link_board board;
	uint64_t wanted_ns;		/* since when the board was not read; 0: it was */
};

/** Begin without a link. */
void linked_init(struct linked *l);

/** The policy orders a share.  From now on it splits memory, and our own watcher pauses. */
void linked_splits(struct arena *a);

/*
 * True, from a function that returns a bool, says that a link has begun or ended.  Then the caller
 * calls pacing_update(), and orders_take() if it has begun, as orders may have been left on the
 * board before the link was known here.
 */

/**
 * If a policy was handed over, it takes the place of an earlier one.  If something is wrong with
 * it, the agent is told.
 */
bool linked_begin(struct arena *a);

/** If an election has had a result, follow it. */
bool linked_elected(struct arena *a);

/** Read the link, which is readable.  There may be orders on its board. */
bool linked_receive(struct arena *a);

/**
 * Tell the watcher, ours or the policy's, that a cycle starts, or that the heap does not fit into
 * its share.
 */
bool linked_wake(struct arena *a);
bool linked_report_overfull(struct arena *a);

/** Tell the policy that orders were met. */
bool linked_met(struct arena *a);

/** Whether the arena of this process has a policy in another one.  Any thread. */
bool linked_is(void);

/**
 * The PID of its policy; 0: there is none, or it is in another PID namespace.  Any thread.
 */
pid_t linked_policy(void);

/** Close all of it, when the arena ends. */
void linked_exit(struct arena *a);

#endif
