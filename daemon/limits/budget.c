// SPDX-License-Identifier: GPL-2.0-only
/*
 * budget.c - the square-root rule (MemBalancer, OOPSLA 2022), with floors and caps
 *
 *  1. A heap with L bytes alive, that allocates g bytes a second and whose cycle takes T
 *     CPU-seconds, costs g·T / (M − L) CPUs if it may have M bytes.  For a given sum B of all M,
 *     the sum of all costs is least if each heap gets
 *
 *	M = L + (B − ΣL) · w/Σw,	w = √(g·T)
 *
 *     An idle heap allocates nothing, so w is 0, and it gets nothing beyond L.
 *
 *  2. Floor: L + 4 MiB or an equal part of B, whichever is less.  The sum of all floors is at
 *     most B, and no neighbour, however hungry, can push a heap below it.
 *
 *  3. Cap: with GOGC a heap collects before it has used a large part.  What it would not use goes
 *     to the others.  If none of them can use it, all have it in proportion.
 *
 *     With floors and caps, M = L + λ·w, at least the floor and at most the cap, with λ such that
 *     the sum is B.  The sum rises with λ, so λ is found by bisection.
 *
 *  4. Objects do not move.  Where a few live in every span, much memory can't be given back soon,
 *     however often the heap is collected.  A part is at least 95 % of this memory, so that the
 *     heap shrinks by and by, and is not collected all the time.
 *
 *  5. If all live bytes together are more than B, each heap has its floor.  What is left of B goes
 *     to the heaps that need more than their floors, in proportion to how much more that is.
 *
 *  6. A change of less than 1/32 is not made, as each change costs a wake-up and estimates have
 *     noise.  But if the sum would be above B, all parts that are to shrink do.  Then each part is
 *     what the split says or smaller, and so is the sum.
 */
#include "budget.h"

#include <math.h>
#include <stdbool.h>

#define MEMORY_S 10.0	/* allocation this old counts 1/e; longer than most pauses of work */
#define CYCLE_DECAY 0.5	/* the cycle before the last counts half as much, and so on */
#define YIELD 0.95			/* the least part of what can't be released now */
#define BISECTIONS 100
#define STEP_FRACTION 32
#define STEP_MIN_BYTES (256ull << 10)

/* With this bound the sums of many arenas do not overflow, whatever the arenas say. */
#define BYTES_MAX (UINT64_MAX >> 16)

void budget_note_allocation(struct budget_pace *pace, uint64_t bytes, uint64_t ns)
{
	double s = (double)ns / 1e9, keep = exp(-s / MEMORY_S);

	pace->allocated_bytes = pace->allocated_bytes * keep + (double)bytes;
	pace->allocated_s = pace->allocated_s * keep + s;
}

void budget_note_cycle(struct budget_pace *pace, uint64_t bytes, uint64_t cpu_ns)
{
	pace->marked_bytes = pace->marked_bytes * CYCLE_DECAY + (double)bytes;
	pace->marking_cpu_s = pace->marking_cpu_s * CYCLE_DECAY + (double)cpu_ns / 1e9;
}

double budget_weight(const struct budget_pace *pace, uint64_t live_bytes)
{
	double rate, speed = BUDGET_SPEED_DEFAULT;

	if (!(pace->allocated_s > 0))
		return 0;
	rate = pace->allocated_bytes / pace->allocated_s;
	if (pace->marked_bytes > 0 && pace->marking_cpu_s > 0)
		speed = pace->marked_bytes / pace->marking_cpu_s;
	return sqrt(rate * ((double)live_bytes / speed));
}

static uint64_t clamp_bytes(uint64_t bytes)
{
	return bytes < BYTES_MAX ? bytes : BYTES_MAX;
}

static uint64_t live(const struct budget_arena *a)
{
	return clamp_bytes(a->live_bytes);
}

static double weight(const struct budget_arena *a)
{
	return a->weight > 0 && a->weight < 1e30 ? a->weight : 0;
}

static uint64_t floor_of(const struct budget_arena *a, uint64_t fair)
{
	uint64_t least = live(a) + BUDGET_FLOOR_BYTES;

	return least < fair ? least : fair;
}

/* The part of @a at @lambda; at 0 it gets nothing of what is left beyond all live bytes. */
static double part(const struct budget_arena *a, uint64_t fair, double lambda)
{
	double least = (double)floor_of(a, fair), most = (double)a->cap_bytes;
	double m = (double)live(a) + lambda * weight(a);

	if (a->cap_bytes != BUDGET_NO_CAP && m > most)
		m = most;
	if (m < (double)clamp_bytes(a->bound_bytes) * YIELD)
		m = (double)clamp_bytes(a->bound_bytes) * YIELD;
	return m > least ? m : least;
}

static double sum_at(const struct budget_arena *arenas, size_t n, uint64_t fair, double lambda)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += part(&arenas[i], fair, lambda);
	return sum;
}

/* More lives than the budget has room for. */
static void split_want(struct budget_arena *arenas, size_t n, uint64_t budget, uint64_t fair)
{
	double above = 0, left = (double)budget;
	size_t i;

	for (i = 0; i < n; i++) {
		double least = (double)floor_of(&arenas[i], fair);

		above += part(&arenas[i], fair, 0) - least;
		left -= least;
	}
	for (i = 0; i < n; i++) {
		double least = (double)floor_of(&arenas[i], fair);
		double mine = part(&arenas[i], fair, 0) - least;

		arenas[i].want_bytes = (uint64_t)(least + (above > 0 && left > 0 ?
							   left * (mine / above) : 0));
	}
}

/*
 * There is more than all can use.  The rest goes to all in proportion, or in equal parts if all
 * weights are 0.
 */
static void split_plenty(struct budget_arena *arenas, size_t n, uint64_t budget, uint64_t fair)
{
	double left = (double)budget - sum_at(arenas, n, fair, INFINITY), weights = 0;
	size_t i;

	for (i = 0; i < n; i++)
		weights += weight(&arenas[i]);
	for (i = 0; i < n; i++) {
		double share = weights > 0 ? weight(&arenas[i]) / weights : 1 / (double)n;

		arenas[i].want_bytes = (uint64_t)(part(&arenas[i], fair, INFINITY) + left * share);
	}
}

void budget_split(struct budget_arena *arenas, size_t n, uint64_t budget_bytes)
{
	double low = 0, high = 1, sum;
	uint64_t budget = clamp_bytes(budget_bytes), fair, total = 0, most = 0;
	size_t i, largest = 0;
	int step;

	if (!n)
		return;
	fair = budget / n;
	if (sum_at(arenas, n, fair, 0) > (double)budget) {
		split_want(arenas, n, budget, fair);
	} else {
		while ((sum = sum_at(arenas, n, fair, high)) <= (double)budget && high < 1e60)
			high *= 1e3;
		if (sum <= (double)budget) {
			split_plenty(arenas, n, budget, fair);
		} else {
			for (step = 0; step < BISECTIONS; step++) {
				double mid = low + (high - low) / 2;

				if (sum_at(arenas, n, fair, mid) > (double)budget)
					high = mid;
				else
					low = mid;
			}
			for (i = 0; i < n; i++)
				arenas[i].want_bytes = (uint64_t)part(&arenas[i], fair, low);
		}
	}
	/* Rounding may have made the sum too large. */
	for (i = 0; i < n; i++) {
		total += arenas[i].want_bytes;
		if (arenas[i].want_bytes >= most) {
			most = arenas[i].want_bytes;
			largest = i;
		}
	}
	if (total > budget)
		arenas[largest].want_bytes -= total - budget < most ? total - budget : most;
}

static uint64_t step_bytes(uint64_t share)
{
	return share / STEP_FRACTION > STEP_MIN_BYTES ? share / STEP_FRACTION : STEP_MIN_BYTES;
}

size_t budget_settle(const struct budget_arena *arenas, size_t n, uint64_t budget_bytes,
		     uint64_t *share_bytes)
{
	unsigned __int128 total = 0;
	size_t changed = 0, i;

	for (i = 0; i < n; i++) {
		uint64_t want = arenas[i].want_bytes, have = share_bytes[i];

		if ((want > have ? want - have : have - want) >= step_bytes(have)) {
			share_bytes[i] = want;
			changed++;
		}
		total += share_bytes[i];
	}
	for (i = 0; i < n && total > budget_bytes; i++) {
		if (share_bytes[i] <= arenas[i].want_bytes)
			continue;
		total -= share_bytes[i] - arenas[i].want_bytes;
		share_bytes[i] = arenas[i].want_bytes;
		changed++;
	}
	return changed;
}
