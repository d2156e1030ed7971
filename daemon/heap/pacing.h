/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacing.h - when a cycle is due, and the goal that the client is told
 *
 * The pacer (pacer.h) computes in live bytes, and neither reads nor writes anything.  Here it gets
 * its figures, and what comes out is written to the client's control page, as values of the
 * client's allocation counter: the trigger, the size past which threads wait for a cycle's end, and
 * what they owe for an allocation while one marks.
 *
 * pacing_update() is what makes a change take effect.  Whoever changes settings, the share, or
 * anything else that limit.h says it is to follow after, calls it.  The arena's thread.
 */
#ifndef TRICOLOR_PACING_H
#define TRICOLOR_PACING_H

#include <stdbool.h>
#include <stdint.h>

struct arena;

/* What a thread owes at most for each byte that it allocates: bytes of scanning, in 1/65536. */
#define PACING_ASSIST_MOST_Q16 (1000000ull << 16)

/** Goal and trigger from the client's settings, its limit and memory as they are now. */
void pacing_update(struct arena *a);

/** Our share of the budget has changed.  What is above it is given back at once. */
void pacing_set_share(struct arena *a, int64_t bytes);

/** The watcher sleeps: it is to be woken after @bytes of allocation; 0: no more. */
void pacing_set_wake_after(struct arena *a, int64_t bytes);

/**
 * Whether a cycle is to begin now because of what the client has allocated.  It may wake the
 * watcher, and may put the cycle off because the limit gives way.
 */
bool pacing_cycle_due(struct arena *a);

/**
 * Whether a cycle is to begin because none has for two minutes; and when that will be, 0: never.
 */
bool pacing_periodic_due(const struct arena *a);
uint64_t pacing_next_ns(const struct arena *a);

/** A cycle begins: no other one is triggered until its marking ends. */
void pacing_begin_cycle(struct arena *a);

/** Now and then while marking: threads that allocate owe by what is left to do. */
void pacing_progress(struct arena *a);

/**
 * Marking has ended.  @black_at and @end_at: the allocation counter when objects began to be
 * allocated black, and at the end.  Threads that were past the goal see the next one.
 */
void pacing_end_marking(struct arena *a, uint64_t black_at, uint64_t end_at, bool forced);

/** The cycle was swept. */
void pacing_end_cycle(struct arena *a);

/** No cycle has ended for long: what keeps a fast allocator's cycles apart is not needed now. */
void pacing_reset_minimum(struct arena *a);

#endif
