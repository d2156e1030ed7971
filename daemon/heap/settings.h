/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * settings.h - the settings of an arena, and who has chosen them
 *
 * The settings in force are on the client's control page: gc-percent, memory limit and limit
 * policy.  A setting is written there, as if the client had made it, and the pacer follows at once,
 * also in the middle of a handshake or of marking.  A setting that nobody has chosen is that of the
 * configuration: of the policy in another process, if there is one, or else our own.  All of it is
 * for the arena's thread, except where any thread is said.
 */
#ifndef TRICOLOR_SETTINGS_H
#define TRICOLOR_SETTINGS_H

#include <stdint.h>

#include "daemon/clients/board.h"

struct arena;

/** Make a setting: ORDER_GC_PERCENT, ORDER_MEMORY_LIMIT. */
void settings_set(struct arena *a, enum board_order kind, int64_t value);

/**
 * Follow what was set through sysfs or netlink since the last call, for an arena of /dev/tricolor.
 */
void settings_take_tunables(struct arena *a);

/** Write the configuration's settings for clients that have not chosen to a board.  Any thread. */
void settings_write_defaults(struct board *b);

/**
 * A client has come.  @unchosen: TRI_HELLO_DEFAULT_*, the settings that it has not chosen.  A value
 * that is not that of a new arena was set by an earlier collector, and stays.
 */
void settings_init(struct arena *a, uint64_t unchosen);

/**
 * Read the defaults again.  Those of a policy that has ended stay in force until there is another
 * one.
 */
void settings_learn_defaults(struct arena *a);

/**
 * Put the defaults in force where nobody has chosen.  A client that chooses at this moment wins:
 * then its control page does not hold what we saw there.
 */
void settings_apply_defaults(struct arena *a);

#endif
