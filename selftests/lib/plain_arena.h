/* SPDX-License-Identifier: GPL-2.0-only */
/* plain_arena.h - an arena in memory of the test's own, which nobody else has */
#ifndef TRICOLOR_SELFTESTS_PLAIN_ARENA_H
#define TRICOLOR_SELFTESTS_PLAIN_ARENA_H

#include <sys/mman.h>

#include "core/heap/layout.h"
#include "kselftest.h"

/** Make a new arena with @pages, and @view of it.  The previous arena is unmapped. */
void plain_arena(struct tri_view *view, uint64_t pages);

#endif
