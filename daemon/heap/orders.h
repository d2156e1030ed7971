/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * orders.h - taking and meeting the orders of an arena
 *
 *  1. Orders are on two boards at most: the registry's, and that of a policy in another process
 *     (linked.h).  Orders of both are met alike.
 *  2. Orders that need no cycle, such as settings and shares, are met at once, also in the middle
 *     of a handshake or of marking.
 *  3. A cycle that is ordered begins as soon as no other is under way.  It meets all orders for a
 *     cycle that came before it began.
 *
 * All of it is for the arena's thread.
 */
#ifndef TRICOLOR_ORDERS_H
#define TRICOLOR_ORDERS_H

#include <poll.h>
#include <stdbool.h>

struct arena;

/** Whether orders were given since the last orders_take(): a hint, which costs no system call. */
bool orders_are_waiting(const struct arena *a);

/**
 * Take the orders that there are.  Those that can be met at once are, and the others are noted.  To
 * be called whenever the thread waits, and now and then while it marks.
 */
void orders_take(struct arena *a);

/** The same, if @p, of channel_listen(), says that there are any. */
void orders_take_polled(struct arena *a, const struct pollfd *p);

/** If the agent has handed over a policy, begin the link with it. */
void orders_begin_link(struct arena *a);

/** Whether a cycle is ordered that has not been run. */
bool orders_want_cycle(const struct arena *a);

/** A cycle begins, which meets the orders that have come until now. */
void orders_cycle_begins(struct arena *a);

/** Whether all free memory is to go back at the end of this cycle. */
bool orders_want_release(const struct arena *a);

/** A cycle has ended, and its figures are published: note the orders that it has met. */
void orders_cycle_ends(struct arena *a);

#endif
