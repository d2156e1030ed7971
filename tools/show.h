/* SPDX-License-Identifier: GPL-2.0-only */
/* show.h - figures of arenas, for people and for programs */
#ifndef TRICOLOR_SHOW_H
#define TRICOLOR_SHOW_H

#include <stddef.h>

#include "collector.h"

/** A table, with a head. */
void show_table(const struct arena_of *arenas, size_t n);

/** All that is known about one. */
void show_arena(const struct arena_of *a);

/** The same, as a JSON object. */
void show_arena_json(const struct arena_of *a);

/** {"arenas": […], "hidden": @hidden} */
void show_list_json(const struct arena_of *arenas, size_t n, unsigned int hidden);

/** "12.3 MiB"; UINT64_MAX and INT64_MAX: "off". */
const char *show_bytes(uint64_t bytes, char text[static 32]);

#endif
