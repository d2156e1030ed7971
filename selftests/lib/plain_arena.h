/* SPDX-License-Identifier: GPL-2.0-only */
/* plain_arena.h - an arena in memory of the test's own, which nobody else has */
#ifndef TRICOLOR_SELFTESTS_PLAIN_ARENA_H
#define TRICOLOR_SELFTESTS_PLAIN_ARENA_H

#include <sys/mman.h>

#include "core/heap/layout.h"
#include "kselftest.h"

/** @view is that of a new one with @pages; the one before is gone. */
void plain_arena(struct tri_view *view, uint64_t pages);

#endif
