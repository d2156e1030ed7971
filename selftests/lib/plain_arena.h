/* SPDX-License-Identifier: GPL-2.0-only */
/* plain_arena.h - an arena of the test's own, which nobody else has */
#ifndef TRICOLOR_SELFTESTS_PLAIN_ARENA_H
#define TRICOLOR_SELFTESTS_PLAIN_ARENA_H

#include <sys/mman.h>

#include "core/heap/layout.h"
#include "kselftest.h"

/** Make a new arena with @pages, and @view of it.  The previous arena is unmapped. */
void plain_arena(struct tri_view *view, uint64_t pages);

/** The same in a memory file, whose holes can be seen.  Returns the file, which is the caller's. */
int plain_arena_in_file(struct tri_view *view, uint64_t pages);

/** Make all of such an arena a hole. */
void plain_arena_clear(const struct tri_view *view, int fd);

#endif
