/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pacing.h - when a cycle is due, and the goal that the client is told
 *
 * The pacer (pacer.h) computes in live bytes, and neither reads nor writes anything.  Here it gets
 * its figures, and its results are written to the client's control page, as values of the client's
 * allocation counter: the trigger, the size past which threads wait for a cycle's end, and what
 * they owe for an allocation while a cycle marks.
 *
 * pacing_update() makes a change take effect.  It is called after a change of settings, of the
 * share, and of anything else after which limit.h demands it.  All of this is for the arena's
 * thread.
 */
#ifndef TRICOLOR_PACING_H
#define TRICOLOR_PACING_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct tri_msg_answer;

/* The most that a thread owes for each byte that it allocates: bytes of scanning, in 1/65536. */
#define PACING_ASSIST_MOST_Q16 (1000000ull << 16)

/** Compute goal and trigger from settings, limit and memory as they are now, and publish them. */
void pacing_update(struct arena *a);

/** Set our share of the budget.  Memory above it is given back at once. */
void pacing_set_share(struct arena *a, int64_t bytes);

/** Have the watcher woken after @bytes of allocation; 0: no more. */
void pacing_set_wake_after(struct arena *a, int64_t bytes);

/**
 * Whether a cycle is to begin now because of what the client has allocated.  It may wake the
 * watcher, and may put the cycle off because the limit gives way.
 */
bool pacing_cycle_due(struct arena *a);

/**
 * Whether a cycle is to begin as there was none for two minutes; and when that will be; 0: never.
 */
bool pacing_periodic_due(const struct arena *a);
uint64_t pacing_next_ns(const struct arena *a);

/** A cycle begins.  No other one is triggered until its marking ends. */
void pacing_begin_cycle(struct arena *a);

/** Compute anew what allocating threads owe; to be called now and then while marking. */
void pacing_progress(struct arena *a);

/**
 * Marking has ended.  @black_at: the allocation counter when objects began to be allocated black.
 * @answer: that to the last handshake.  Threads that were past the goal see the next one.
 */
void pacing_end_marking(struct arena *a, uint64_t black_at, const struct tri_msg_answer *answer,
			bool forced);

/** The cycle was swept. */
void pacing_end_cycle(struct arena *a);

/** No cycle has ended for long, so the least goal is that of a small heap again. */
void pacing_reset_minimum(struct arena *a);

#endif
