/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * arena_check.h - a test's own check of the arena of its process, past the library
 *
 * The mapping (of a memfd, or of /dev/tricolor) is found in /proc/self/maps.  The layout is
 * computed from the control page, as a collector does it. arena_faults() counts inconsistencies,
 * and must be called while nobody uses the heap.
 */
#ifndef TRICOLOR_SELFTESTS_ARENA_CHECK_H
#define TRICOLOR_SELFTESTS_ARENA_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/heap/layout.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"

/** Find the arena of this process.  Returns false if it has none. */
bool arena_find(struct tri_view *v);

struct arena_faults {
	uint64_t used_count;		/* the counter of used pages, less the bits that are set */
	uint64_t orphans;		/* used pages without a span */
	uint64_t ghosts;		/* pages of a span that are not used */
	uint64_t spans;			/* spans whose state is none of a heap at rest */
	uint64_t buffers;		/* buffers that are on no queue and belong to no thread, or
					 * that are in two places */
	uint64_t hidden;		/* free pages that a hint hides from the page heap */
};

/** The sum of all faults; 0: the arena is consistent. */
uint64_t arena_fault_sum(const struct arena_faults *f);

/** Check the arena, while nobody uses the heap. */
struct arena_faults arena_faults(const struct tri_view *v);

#endif
