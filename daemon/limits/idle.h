/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * idle.h - what is done before the watcher sleeps: see idle.c
 */
#ifndef TRICOLOR_IDLE_H
#define TRICOLOR_IDLE_H

#include <stdbool.h>

#include "snapshot.h"

/**
 * No arena has allocated for @ticks ticks, and nothing was ordered.  Returns whether the watcher
 * may sleep.
 */
bool idle_begin(const struct groups *s, struct snapshot *snap, unsigned int ticks);

/**
 * Nobody will tell when there is a limit in @top's tree, which has none.  Returns whether any of
 * its arenas has allocated since the last call.  If none has they are told to wake the watcher.
 */
bool idle_listen(const struct groups *s, struct limit_group *top);

#endif
