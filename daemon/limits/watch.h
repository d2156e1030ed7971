/* SPDX-License-Identifier: GPL-2.0-only */
/* watch.h - the thread that knows what memory there is, and splits it: see watch.c */
#ifndef TRICOLOR_WATCH_H
#define TRICOLOR_WATCH_H

#include <stdint.h>

/**
 * Start the watcher.  @total_bytes: limit of all clients of a cgroup together that somebody has
 * chosen, beside nine tenths of the cgroup's own; 0: none was.  Without a watcher (no thread, no
 * memory: logged) clients have no limits but their own.
 */
void watch_start(uint64_t total_bytes);

/** The limit of all clients together has been changed, by a new configuration.  Any thread. */
void watch_set_total(uint64_t total_bytes);

#endif
