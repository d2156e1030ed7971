/* SPDX-License-Identifier: GPL-2.0-only */
/* watch.h - the thread that knows what memory there is, and splits it: see watch.c */
#ifndef TRICOLOR_WATCH_H
#define TRICOLOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Start the watcher.  @total_bytes: limit of all clients of a cgroup together that somebody has
 * chosen, beside nine tenths of the cgroup's own; 0: none was.  Without a watcher (no thread, no
 * memory: logged) clients have no limits but their own.
 */
void watch_start(uint64_t total_bytes);

/** The limit of all clients together has been changed, by a new configuration.  Any thread. */
void watch_set_total(uint64_t total_bytes);

/**
 * A policy in another process watches for the one arena of this one: rest.  Or no more: look at once, and order
 * all anew, whatever was ordered before.
 */
void watch_pause(bool paused);

/** An arena does not fit into its share: look at once whether it can have more. */
void watch_hurry(void);

/** An arena's thread is at work: if the watcher sleeps because nobody was, it looks again. */
void watch_wake(void);

#endif
