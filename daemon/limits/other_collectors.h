/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * other_collectors.h - how many other collectors share a group's limits: see other_collectors.c
 *
 * All of it belongs to the watcher's thread.
 */
#ifndef TRICOLOR_OTHER_COLLECTORS_H
#define TRICOLOR_OTHER_COLLECTORS_H

#include "groups.h"

/** How many collectors have arenas that count in @g, as far as can be seen, with ours. */
unsigned int collectors_in(const struct groups *s, const struct limit_group *g);

/**
 * Count the collectors in @g again, if that was not done lately.  @grown: there may be new ones, so
 * they are counted again sooner.
 */
void collectors_count(const struct groups *s, const struct limit_group *g, bool grown,
		      uint64_t now);

/** Count collectors in all groups at the next collectors_count(), since they are others now. */
void collectors_recount(struct groups *s);

/** How many peer markers in @g have not joined us. */
unsigned int collectors_unjoined(const struct groups *s, const struct limit_group *g);

#endif
