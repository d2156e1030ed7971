/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watcher.h - how the threads of arenas reach the watcher, which splits memory among them
 *
 * The watcher (daemon/limits/watch.c) sleeps without a timer while no client is at work.  It shares
 * with those who wake it a descriptor on which it waits, and a few flags.  Nothing here waits, and
 * any thread may call the first part.
 */
#ifndef TRICOLOR_WATCHER_H
#define TRICOLOR_WATCHER_H

#include <stdbool.h>
#include <stdint.h>

/** A client is at work.  If the watcher sleeps, as none was, it wakes and reads the groups. */
void watcher_wake(void);

/** Have the watcher read the groups at once, as an arena does not fit, or a setting has changed. */
void watcher_notify(void);

/**
 * A policy in another process splits memory for the one arena of this one, so the watcher pauses.
 * Or the pause is over, and the watcher reads the groups at once and orders all of it anew.
 */
void watcher_pause(bool paused);

/* ---- The watcher's thread ---- */

/**
 * To be called before the thread starts.  Returns an eventfd that is readable after
 * watcher_notify() and watcher_pause(), after a watcher_wake() that found the watcher asleep, and
 * when arenas come or go; or -errno.
 */
int watcher_open(void);

/**
 * Set whether watcher_wake() is to wake the watcher.  If the watcher sets it, and then finds no
 * client at work, it may sleep: an arena's thread that starts a cycle reads it after its client has
 * counted what made the cycle due.
 */
void watcher_set_asleep(bool asleep);

/**
 * Whether the watcher is to pause now; and how many pauses have begun, as a pause may be over
 * before the watcher sees it.
 */
bool watcher_is_paused(void);
uint32_t watcher_pauses(void);

#endif
