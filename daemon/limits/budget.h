/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * budget.h - one amount of memory for many heaps
 *
 * Numbers in, numbers out, as pacer.h; any value of any argument is harmless.  budget.c opens with
 * the rule.
 */
#ifndef TRICOLOR_BUDGET_H
#define TRICOLOR_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#define BUDGET_NO_CAP		UINT64_MAX

/* What an arena may have beyond what lives, however small its claim on the rest. */
#define BUDGET_FLOOR_BYTES	(4ull << 20)

/* Marking speed of an arena that has not had a cycle. */
#define BUDGET_SPEED_DEFAULT	1e9		/* bytes a CPU-second */

/*
 * What an arena's pace is judged by.  Bytes and durations are smoothed each by itself: an average
 * of quotients would let one short, wild interval count as much as a long quiet one.
 */
struct budget_pace {
	double allocated_bytes, allocated_s;	/* of the last ten seconds or so */
	double marked_bytes, marking_cpu_s;	/* of the last few cycles */
};

/* An arena in a group.  The caller fills in the first part; budget_split() the last. */
struct budget_arena {
	/* what lives, and memory that is bound to it: metadata, gaps in spans */
	uint64_t live_bytes;
	uint64_t bound_bytes;	/* what it can't release: spans that hold anything, and metadata */
	uint64_t cap_bytes;	/* more would not be used; BUDGET_NO_CAP */
	double weight;		/* budget_weight() */
	uint64_t want_bytes;	/* out: its part */
};

/** @bytes were allocated in @ns. */
void budget_note_allocation(struct budget_pace *pace, uint64_t bytes, uint64_t ns);

/** A cycle has marked @bytes with @cpu_ns. */
void budget_note_cycle(struct budget_pace *pace, uint64_t bytes, uint64_t cpu_ns);

/** The square root of allocation rate times the price of a cycle, as that stands now. */
double budget_weight(const struct budget_pace *pace, uint64_t live_bytes);

/** Split @budget_bytes among @n arenas.  The parts are never more than that together. */
void budget_split(struct budget_arena *arenas, size_t n, uint64_t budget_bytes);

/**
 * Move the parts that arenas have towards what they should have, leaving out what is not worth it:
 * @share_bytes[i] becomes arenas[i].want_bytes or stays.  Parts that are given up are given up in
 * full if the sum would be above @budget_bytes.  Returns how many parts have changed.
 */
size_t budget_settle(const struct budget_arena *arenas, size_t n, uint64_t budget_bytes,
		     uint64_t *share_bytes);

#endif
