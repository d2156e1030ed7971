/* SPDX-License-Identifier: GPL-2.0-only */
/* show.h - figures of arenas, for people and for programs */
#ifndef TRICOLOR_SHOW_H
#define TRICOLOR_SHOW_H

#include <stddef.h>

#include "collector.h"

/**
 * The PIDs of the arena's marker and of the marker's policy, each in its own namespace; 0: the
 * collector itself marks, or the process can't be seen.
 */
long long show_marker(const struct arena_of *of);
long long show_policy(const struct arena_of *of);

/** Print a table of arenas, with a heading. */
void show_table(const struct arena_of *arenas, size_t n);

/** Print all that is known about one arena. */
void show_arena(const struct arena_of *a);

/** The same, as a JSON object. */
void show_arena_json(const struct arena_of *a);

/** Print a line for each collector that has not answered. */
void show_silent(const struct silent_collector *silent, size_t n);

/** {"arenas": […], "hidden": @hidden, "silent": […]} */
void show_list_json(const struct arena_of *arenas, size_t n, unsigned int hidden,
		    const struct silent_collector *silent, size_t nsilent);

/** "12.3 MiB"; UINT64_MAX and INT64_MAX: "off". */
const char *show_bytes(uint64_t bytes, char text[static 32]);

#endif
