// SPDX-License-Identifier: GPL-2.0-only
/*
 * scavenge.c - giving free pages back to the system
 *
 *  1. The heap keeps 110 % of what it will use when it reaches its goal.  That is more than the
 *     goal, as spans hold more than objects, and a cycle ends a little late.  The heap is expected
 *     to exceed its goal by as much as it did at most in the last half to one second.  (Go takes
 *     the last cycle only.  Then a heap that is collected a thousand times a second would lose
 *     memory and fault it in again all the time.)  Free pages with memory beyond that are released
 *     from the highest address down, where pages are least likely to be taken again soon.
 *  2. They are released in steps of at most 512 KiB, each followed by a pause of 99 times its
 *     duration.  That is 1 % of a CPU, and never a thread of the client's.  tri_free_os_memory()
 *     releases all at once.
 *  3. Pages are claimed by setting their `used` bits.  A hole is punched for each run of them.
 *     Then they are free again, and without memory.  core/heap/pages.h says what happens if we die
 *     in between.
 */
#include "scavenge.h"

#include <assert.h>
#include <string.h>

#include "arena.h"
#include "backing.h"
#include "core/system/clock.h"
#include "core/heap/pages.h"
#include "daemon/process/log.h"
#include "publish.h"
#include "core/system/point.h"

#define STEP_BYTES (512ull << 10)
#define KEEP_FACTOR 1.1
#define USE_WINDOW_NS 500000000ull
#define PAUSE_FACTOR 99
#define PAUSE_MIN_NS 1000000ull
#define CLAIM_WORDS 64			/* 32 MiB of heap at a time */
#define RANGES_MAX 64			/* ranges of pages that are released at once */

static uint64_t words_in_use(const struct tri_view *v)
{
	uint64_t top = tri_read(&v->ctl->top_pages);

	return ((top < v->heap_pages ? top : v->heap_pages) + 63) / 64;
}

static uint64_t free_backed(const struct tri_view *v)
{
	uint64_t w, n = 0, words = words_in_use(v);

	for (w = 0; w < words; w++)
		n += (uint64_t)__builtin_popcountll(tri_read(&v->backed[w]) &
						    ~tri_read(&v->used[w]));
	return n << TRI_PAGE_SHIFT;
}

uint64_t scavenge_free_bytes(const struct arena *a)
{
	return free_backed(&a->view);
}

/* Drop figures from before the last window.  Returns whether no figure is left. */
static bool turn_windows(struct arena *a, uint64_t now)
{
	uint64_t since = now - a->scavenger.use_window_ns;

	if (since <= USE_WINDOW_NS)
		return false;
	a->scavenger.use_before = since <= 2 * USE_WINDOW_NS ? a->scavenger.use_now : 0;
	a->scavenger.use_now = 0;
	a->scavenger.use_window_ns = now;
	return a->scavenger.use_before == 0;
}

void scavenge_note_use(struct arena *a, uint64_t goal_bytes)
{
	double ratio = (double)arena_used_bytes(a) / (double)goal_bytes;

	turn_windows(a, clock_ns());
	if (goal_bytes != PACER_NEVER && ratio > a->scavenger.use_now)
		a->scavenger.use_now = ratio;
}

/* Bytes in free pages beyond what the heap needs for its goal.  Publishes the free bytes. */
static uint64_t excess(struct arena *a)
{
	const struct tri_view *v = &a->view;
	uint64_t idle = free_backed(v), goal = pacer_goal_bytes(&a->pacer),
		 used = arena_used_bytes(a);
	double use = a->scavenger.use_now > a->scavenger.use_before ? a->scavenger.use_now :
								      a->scavenger.use_before;
	double keep = (double)goal * (use > 1 ? use : 1) * KEEP_FACTOR;

	tri_write(&v->ctl->free_backed_bytes, idle);
	if (goal == PACER_NEVER)
		return 0;
	if (keep < (double)used)
		keep = (double)used;
	return (double)(used + idle) > keep ? used + idle - (uint64_t)keep : 0;
}

/* Set when the next step is due: after the pause, or when a window ends and more may be free. */
static void schedule(struct arena *a, bool something)
{
	uint64_t now = clock_ns();

	if (something)
		a->scavenger.step_ns =
			now > a->scavenger.earliest_ns ? now : a->scavenger.earliest_ns;
	else if (a->scavenger.use_now > 0 || a->scavenger.use_before > 0)
		a->scavenger.step_ns = a->scavenger.use_window_ns + USE_WINDOW_NS + 1;
	else
		a->scavenger.step_ns = 0;
}

void scavenge_begin(struct arena *a)
{
	schedule(a, excess(a) != 0);
}

/*
 * Punch the runs of pages in mask[] of words [@from, @from + @n), merged across words.  Returns
 * the bytes released; 0 if any of them could not be, and then all of them still count as backed.
 */
static uint64_t punch(struct arena *a, uint64_t from, const uint64_t *mask, uint64_t n)
{
	uint64_t page, end = (from + n) * 64, run = 0, released = 0;
	struct backing_range ranges[RANGES_MAX];
	unsigned int nranges = 0;
	int err = 0;

	for (page = from * 64; page <= end; page++) {
		bool in = page < end && mask[page / 64 - from] >> (page & 63) & 1;

		if (in) {
			run++;
		} else if (run) {
			assert(nranges < RANGES_MAX);
			ranges[nranges].offset =
				a->view.layout.heap + ((page - run) << TRI_PAGE_SHIFT);
			ranges[nranges++].bytes = run << TRI_PAGE_SHIFT;
			released += run << TRI_PAGE_SHIFT;
			run = 0;
		}
		if (nranges == RANGES_MAX || (nranges && page == end)) {
			int failed = backing_release(a->fd, a->is_device, ranges, nranges);

			err = failed ? failed : err;
			nranges = 0;
		}
	}
	if (err)
		log_line("%s: can't release memory: %s", a->client.name, strerror(err));
	return err ? 0 : released;
}

/* Claim and release up to @bytes in words [@from, @from + @n). */
static uint64_t release_words(struct arena *a, uint64_t from, uint64_t n, uint64_t bytes)
{
	const struct tri_view *v = &a->view;
	uint64_t mask[CLAIM_WORDS] = { 0 }, w, claimed = 0, released;

	for (w = n; w-- && claimed < bytes;) {
		uint64_t used = tri_read(&v->used[from + w]);
		uint64_t want = tri_read(&v->backed[from + w]) & ~used;

		if (!want ||
		    !atomic_compare_exchange_strong(&v->used[from + w], &used, used | want))
			continue;
		mask[w] = want;
		claimed += (uint64_t)__builtin_popcountll(want) << TRI_PAGE_SHIFT;
	}
	TRI_POINT("scavenge.punches");
	released = claimed ? punch(a, from, mask, n) : 0;
	for (w = 0; w < n; w++) {
		if (!mask[w])
			continue;
		if (released)
			atomic_fetch_and(&v->backed[from + w], ~mask[w]);
		atomic_fetch_and(&v->used[from + w], ~mask[w]);
		tri_pages_hint(v, (from + w) * 64);
	}
	return released;
}

uint64_t scavenge(struct arena *a, uint64_t bytes)
{
	const struct tri_view *v = &a->view;
	uint64_t end = words_in_use(v), done = 0, w;

	while (end && done < bytes) {
		uint64_t n;

		/* Begin at the highest word that has free pages with memory. */
		while (end && !(tri_read(&v->backed[end - 1]) & ~tri_read(&v->used[end - 1])))
			end--;
		n = end < CLAIM_WORDS ? end : CLAIM_WORDS;
		w = end - n;
		if (n)
			done += release_words(a, w, n, bytes - done);
		end = w;
	}
	if (done) {
		atomic_fetch_add(&v->ctl->released_bytes, done);
		tri_write(&v->ctl->free_backed_bytes, free_backed(v));
	}
	return done;
}

bool scavenge_forget_use(struct arena *a)
{
	return turn_windows(a, clock_ns());
}

void scavenge_step(struct arena *a)
{
	uint64_t before = clock_ns(), bytes = excess(a), pause;

	if (bytes && !scavenge(a, bytes < STEP_BYTES ? bytes : STEP_BYTES))
		bytes = 0;
	publish_figures(a);
	pause = (clock_ns() - before) * PAUSE_FACTOR;
	a->scavenger.earliest_ns = clock_ns() + (pause > PAUSE_MIN_NS ? pause : PAUSE_MIN_NS);
	schedule(a, bytes != 0);
}
