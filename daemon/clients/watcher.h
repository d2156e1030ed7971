/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watcher.h - how the threads of arenas reach the watcher, which splits memory among them
 *
 * The watcher (daemon/limits/watch.c) sleeps without a timer while no client is at work.  What is
 * here is all that it has in common with those who wake it: a descriptor that it waits on, and a
 * few flags.  Nothing here waits, and any thread may call the first part.
 */
#ifndef TRICOLOR_WATCHER_H
#define TRICOLOR_WATCHER_H

#include <stdbool.h>
#include <stdint.h>

/** A client is at work: if the watcher sleeps because none was, it looks again. */
void watcher_wake(void);

/** Look at once: an arena does not fit into its share, or what the watcher goes by has changed. */
void watcher_notify(void);

/**
 * A policy in another process splits memory for the one arena of this one, so the watcher pauses.
 * Or no more: then it looks at once, and orders everything anew, whatever was ordered before.
 */
void watcher_pause(bool paused);

/* ---- The watcher's thread ---- */

/**
 * Before the thread starts: an eventfd that is readable after watcher_notify() and watcher_pause(),
 * after a watcher_wake() that found the watcher asleep, and when arenas come or go.  Negative:
 * -errno.
 */
int watcher_open(void);

/**
 * Whether watcher_wake() is to wake.  A thread that sets it, and then finds no client at work, may
 * sleep: an arena's thread that starts a cycle reads it after its client has counted what made the
 * cycle due.
 */
void watcher_set_asleep(bool asleep);

/**
 * Whether it is to pause now, and how many pauses have begun: a pause may be over before it is
 * seen.
 */
bool watcher_is_paused(void);
uint32_t watcher_pauses(void);

#endif
