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
 * @top's tree has no limit, and the kernel does not tell when it gets one.  Returns whether any of
 * its arenas has allocated since the last call.  If none has, all are told to wake the watcher when
 * they do.
 */
bool idle_poll_limits(const struct groups *s, struct limit_group *top);

#endif
