// SPDX-License-Identifier: GPL-2.0-only
/* pacing.c - when a cycle is due, and the goal that the client is told: see pacing.h */
#include "pacing.h"

#include <assert.h>

#include "arena.h"
#include "core/system/clock.h"
#include "daemon/process/cpus.h"
#include "limit.h"
#include "linked.h"
#include "mark.h"
#include "scavenge.h"

#define LATE_SLACK_BYTES (8ull << 20)
/*
 * Parts of a limit: the heap may exceed its goal by 1/LIMIT_SLACK_PARTS before threads wait, and
 * what fits by 1/LIMIT_FAR_PARTS before they wait for long.
 */
#define LIMIT_SLACK_PARTS 128
#define LIMIT_FAR_PARTS 64
#define HEAP_MINIMUM_MAX_BYTES (4 * PACER_HEAP_MINIMUM_BYTES)

/* Heap size @live as a value of the client's allocation counter. */
static uint64_t counter_at(const struct arena *a, uint64_t live)
{
	if (live == PACER_NEVER)
		return UINT64_MAX;
	return live <= a->live.bytes ? a->live.at_bytes : a->live.at_bytes + (live - a->live.bytes);
}

static void publish_trigger(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t goal = pacer_goal_bytes(&a->pacer), slack;
	uint64_t in_force = (uint64_t)a->limit.in_force_bytes, fits, late, far;
	uint64_t overhead = pacer_overhead_bytes(&a->pacer);
	bool limited = pacer_limited(&a->pacer, a->limit.in_force_bytes);

	tri_write(&ctl->goal_bytes, goal);
	/* Small heaps get some slack, as filling them takes no longer than a cycle's wake-ups. */
	slack = goal / 2 < LATE_SLACK_BYTES ? goal / 2 : LATE_SLACK_BYTES;
	if (limited && slack > in_force / LIMIT_SLACK_PARTS)
		slack = in_force / LIMIT_SLACK_PARTS;
	/*
	 * A limit's goal may be low so that gaps are filled.  Passing it is harmless, because
	 * objects in gaps take no pages.  GOGC's goal may be above what fits.
	 */
	fits = in_force > overhead ? in_force - overhead : 0;
	late = goal == PACER_NEVER ? PACER_NEVER : goal + slack;
	far = a->limit.in_force_bytes == PACER_NO_LIMIT ? PACER_NEVER :
	      (goal > fits ? goal : fits) + in_force / LIMIT_FAR_PARTS;
	/* A limit that gives way is no reason to wait, but the kernel's is. */
	if (a->limit.gives_way)
		late = far = limit_wait_bytes(a);
	tri_write(&ctl->late_bytes, counter_at(a, late));
	tri_write(&ctl->far_bytes, counter_at(a, far));
	if (a->pacer.marking)
		return;			/* the end of marking sets the next trigger */
	a->pacing.trigger_bytes = limit_trigger(a, counter_at(a, pacer_trigger_bytes(&a->pacer)));
	tri_write(&ctl->trigger_bytes, a->pacing.trigger_bytes);
	/* triggered() reads the counter after this.  It pairs with tri_count_allocated(). */
	atomic_thread_fence(memory_order_seq_cst);
}

void pacing_update(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	struct pacer_config config = {
		.gc_percent = tri_read(&ctl->gc_percent),
		.memory_limit_bytes = limit_update(a),
		.procs = cpus_online(),
		.heap_minimum_bytes = a->pacing.heap_minimum_bytes,
	};

	pacer_configure(&a->pacer, &config);
	publish_trigger(a);
}

void pacing_set_share(struct arena *a, int64_t bytes)
{
	limit_set_share(a, bytes);
	pacing_update(a);
	limit_release_excess(a);
}

void pacing_set_wake_after(struct arena *a, int64_t bytes)
{
	limit_set_wake_after(a, bytes);
	pacing_update(a);
}

/* ------------------------------------------------------------------------------------------ */
/* When a cycle is due                                                                        */
/* ------------------------------------------------------------------------------------------ */

/* Whether the client has allocated as much as the trigger allows. */
static bool triggered(const struct arena *a)
{
	return a->pacing.trigger_bytes != UINT64_MAX &&
	       tri_read(&a->view.ctl->allocated_bytes) > a->pacing.trigger_bytes;
}

/*
 * Whether a cycle that is due is put off, as only the watcher was to be woken, or as the limit
 * gives way.
 */
static bool put_off(struct arena *a)
{
	/* The client is at work again, and so the watcher has to read the group again. */
	if (a->limit.wake_after_bytes && triggered(a)) {
		a->limit.wake_after_bytes = 0;
		linked_wake(a);
		pacing_update(a);
		a->requests.triggered = false;
		if (!triggered(a))
			return true;
	}
	switch (limit_judge(a)) {
	case LIMIT_KEPT:
		return false;
	case LIMIT_KEPT_AGAIN:
		/* The limit is in force again, and may make a cycle due. */
		pacing_update(a);
		return !triggered(a) && !tri_read(&a->view.ctl->refuse);
	case LIMIT_GIVES_WAY:
		pacing_update(a);
		/* It may be due without any limit, or for the sake of the kernel's. */
		return !triggered(a) && arena_live_bytes(a) < limit_cycle_bytes(a);
	}
	return false;
}

bool pacing_cycle_due(struct arena *a)
{
	return (triggered(a) || limit_wants_cycle(a)) && !put_off(a);
}

bool pacing_periodic_due(const struct arena *a)
{
	return pacer_goal_bytes(&a->pacer) != PACER_NEVER &&
	       pacer_periodic_due(a->cycle_end_ns, clock_ns());
}

uint64_t pacing_next_ns(const struct arena *a)
{
	return a->cycle_end_ns && pacer_goal_bytes(&a->pacer) != PACER_NEVER ?
		       a->cycle_end_ns + PACER_PERIOD_NS :
		       0;
}

/* ------------------------------------------------------------------------------------------ */
/* A cycle                                                                                    */
/* ------------------------------------------------------------------------------------------ */

void pacing_begin_cycle(struct arena *a)
{
	struct pacer_start start = { .heap_live_bytes = arena_live_bytes(a) };

	assert(!a->pacer.marking);
	a->requests.triggered = false;
	a->now.start_bytes = start.heap_live_bytes;
	pacer_cycle_start(&a->pacer, &start);
	tri_write(&a->view.ctl->trigger_bytes, UINT64_MAX);
}

void pacing_progress(struct arena *a)
{
	uint64_t live;
	double ratio;

	if (limit_progress(a))
		pacing_update(a);
	live = arena_live_bytes(a);
	ratio = pacer_revise(&a->pacer, live, mark_scan_bytes(&a->marker), 0);
	if (a->limit.gives_way)
		ratio = live > limit_wait_bytes(a);
	/* 0 says that nothing is being marked. */
	tri_write(&a->view.ctl->assist_q16, ratio * 65536 < PACING_ASSIST_MOST_Q16 ?
		  (uint64_t)(ratio * 65536) + 1 : PACING_ASSIST_MOST_Q16);
}

void pacing_end_marking(struct arena *a, uint64_t black_at, const struct tri_msg_answer *answer,
			bool forced)
{
	struct cycle_figures *f = &a->now;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t heap = a->view.heap_pages << TRI_PAGE_SHIFT, end_at = answer->allocated_bytes;
	/* No more can live on than the heap holds. */
	uint64_t kept = answer->kept_bytes < heap ? answer->kept_bytes : heap;
	/*
	 * It wraps if more was freed than allocated; what was freed is not marked any more.  Both
	 * counts are the client's, and may be anything.
	 */
	uint64_t black = end_at - black_at;
	uint64_t reached = mark_bytes(&a->marker) + kept;
	uint64_t live = black > INT64_MAX && 0 - black > reached ? 0 : reached + black;
	uint64_t mark_ns = f->wall_ns[PHASE_MARK] + f->wall_ns[PHASE_TERMINATION] + 1;
	uint64_t mark_cpu = f->cpu_ns[PHASE_MARK] + f->cpu_ns[PHASE_TERMINATION];
	struct pacer_end end = {
		.heap_live_bytes = arena_live_at(a, end_at),
		.marked_bytes = live,
		.heap_scan_bytes = mark_scan_bytes(&a->marker),
		.globals_scan_bytes = f->root_bytes,
		.gc_utilization = (double)mark_cpu / ((double)mark_ns * cpus_online()),
		.memory = {
			.mapped_bytes = arena_resident_bytes(a),
			.heap_alloc_bytes = arena_live_at(a, end_at),
			.heap_free_bytes = scavenge_free_bytes(a),
		},
		.forced = forced,
	};

	limit_peak(a, &end.memory);
	f->end_bytes = end.heap_live_bytes;
	f->goal_bytes = pacer_goal_bytes(&a->pacer);
	scavenge_note_use(a, f->goal_bytes);
	f->live_bytes = end.marked_bytes;
	pacer_cycle_end(&a->pacer, &end);
	a->live.reached_bytes = live < reached ? live : reached;
	a->live.bytes = end.marked_bytes;
	a->live.at_bytes = end_at;
	tri_write(&ctl->live_bytes, a->live.bytes);
	/*
	 * This comes before the sweep, as threads that are past the old goal wait for the new one.
	 */
	publish_trigger(a);
}

/*
 * However little there is to mark, handshakes and wake-ups of a cycle take some 100 µs.  A program
 * that fills the smallest heap in that time would always have a cycle under way.  So the least goal
 * grows until this fixed part takes at most a tenth of the time, or the heap is as large as a
 * processor's cache.  It shrinks again when that part takes less than a fortieth.
 */
static void adapt_minimum(struct arena *a)
{
	const struct cycle_figures *f = &a->now;
	uint64_t fixed = f->wall_ns[PHASE_BARRIER] + f->wall_ns[PHASE_TERMINATION] +
			 f->wall_ns[PHASE_SWEEP];
	uint64_t interval = clock_ns() - a->cycle_end_ns, minimum = a->pacing.heap_minimum_bytes;

	if (!a->cycle_end_ns)
		return;
	if (fixed > interval / 10 && minimum < HEAP_MINIMUM_MAX_BYTES)
		minimum *= 2;
	else if (fixed < interval / 40 && minimum > PACER_HEAP_MINIMUM_BYTES)
		minimum /= 2;
	if (minimum == a->pacing.heap_minimum_bytes)
		return;
	a->pacing.heap_minimum_bytes = minimum;
	pacing_update(a);
}

void pacing_end_cycle(struct arena *a)
{
	adapt_minimum(a);
	if (limit_cycle_end(a))
		linked_report_overfull(a);
	if (a->limit.in_force_bytes != PACER_NO_LIMIT)
		pacing_update(a);
}

void pacing_reset_minimum(struct arena *a)
{
	if (a->pacing.heap_minimum_bytes == PACER_HEAP_MINIMUM_BYTES)
		return;
	a->pacing.heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES;
	pacing_update(a);
}
