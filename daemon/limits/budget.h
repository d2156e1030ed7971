/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * budget.h - splitting one amount of memory among many heaps
 *
 * This is arithmetic only, as pacer.h is, and any value of any argument is harmless.  budget.c
 * opens with the rule.
 */
#ifndef TRICOLOR_BUDGET_H
#define TRICOLOR_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#define BUDGET_NO_CAP		UINT64_MAX

/* What an arena may have beyond what lives, however small its weight is. */
#define BUDGET_FLOOR_BYTES	(4ull << 20)

/* The marking speed that is assumed before the first cycle. */
#define BUDGET_SPEED_DEFAULT	1e9		/* bytes a CPU-second */

/*
 * How fast an arena allocates and is marked.  Bytes and durations are smoothed each by itself.  In
 * an average of quotients one short interval would count as much as a long one.
 */
struct budget_pace {
	double allocated_bytes, allocated_s;	/* of the last ten seconds or so */
	double marked_bytes, marking_cpu_s;	/* of the last few cycles */
};

/* An arena in a group.  The caller fills in all but the last field, which budget_split() does. */
struct budget_arena {
	/* what lives, and the memory that this takes besides: metadata, and gaps in spans */
	uint64_t live_bytes;
	uint64_t bound_bytes;	/* what it can't release: metadata, and spans in use */
	uint64_t cap_bytes;	/* more would not be used; BUDGET_NO_CAP */
	double weight;		/* budget_weight() */
	uint64_t want_bytes;	/* the result: its part */
};

/** Note that @bytes were allocated in @ns. */
void budget_note_allocation(struct budget_pace *pace, uint64_t bytes, uint64_t ns);

/** Note that a cycle has marked @bytes in @cpu_ns. */
void budget_note_cycle(struct budget_pace *pace, uint64_t bytes, uint64_t cpu_ns);

/** The square root of the allocation rate times what a cycle costs now. */
double budget_weight(const struct budget_pace *pace, uint64_t live_bytes);

/** Split @budget_bytes among @n arenas.  The sum of the parts is never more than that. */
void budget_split(struct budget_arena *arenas, size_t n, uint64_t budget_bytes);

/**
 * Change the parts that arenas have to what they should have, unless the difference is small:
 * @share_bytes[i] becomes arenas[i].want_bytes or stays.  If the sum would be above @budget_bytes,
 * small differences count as well for parts that shrink.  Returns how many parts have changed.
 */
size_t budget_settle(const struct budget_arena *arenas, size_t n, uint64_t budget_bytes,
		     uint64_t *share_bytes);

#endif
