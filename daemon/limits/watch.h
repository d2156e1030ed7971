/* SPDX-License-Identifier: GPL-2.0-only */
/* watch.h - the thread that knows the memory limits and splits them: see watch.c */
#ifndef TRICOLOR_WATCH_H
#define TRICOLOR_WATCH_H

#include <stdint.h>

/**
 * Start the watcher.  @total_bytes: the limit of all clients of a cgroup together, which holds
 * beside nine tenths of the cgroup's own; 0: none was chosen.  If the watcher can't be started the
 * log says so, and clients have no limits but their own.
 */
void watch_start(uint64_t total_bytes);

/** Change the limit of all clients together, as a new configuration has it.  Any thread. */
void watch_set_total(uint64_t total_bytes);

#endif
