// SPDX-License-Identifier: GPL-2.0-only
/*
 * cycle.c - one collection cycle of one arena
 *
 *  1. Barrier on (H1).  Nothing is marked before every thread's stores shade.
 *  2. Scan (H2): stacks and roots are in buffers.  One message asks for both: under load a wake-up
 *     of the agent costs more than what it does.
 *  3. Mark, beside the program: buffers, then what they lead to, until nothing is known to be grey.
 *  4. Collect (H3): what threads have shaded is in buffers that can be read.  First the buffers
 *     that threads are filling, then those that they have handed over: a buffer that is handed
 *     over between the two is seen in the second place.  If any of it was white, back to 3.  A
 *     round that finds nothing white ends marking: Documentation/design/marking.md has the argument.
 *  5. Barrier off (H4): each thread gives its spans back.
 *  6. Sweep, here and in allocating threads.  The next cycle waits for its end.
 *
 * The pacer's figures are in live bytes; clients see them as values of their allocation counter.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/heap/buffer.h"
#include "daemon/process/cpus.h"
#include "daemon/process/log.h"
#include "core/system/point.h"

/* Each round but the last marks something; a heap that takes more makes it up. */
#define ROUNDS_MAX 100000

#define ASSIST_MOST_Q16 (1000000ull << 16)

#define LATE_SLACK_BYTES (8ull << 20)
#define LIMIT_SLACK_PARTS 128		/* under a limit: this part of it … */
#define LIMIT_FAR_PARTS 64		/* … and past what fits, before waits are long */
#define HEAP_MINIMUM_MAX_BYTES (4 * PACER_HEAP_MINIMUM_BYTES)

static uint64_t live_now(const struct arena *a, uint64_t allocated)
{
	int64_t since = (int64_t)(allocated - a->live_at_bytes);

	return since < 0 ? a->live_bytes : a->live_bytes + (uint64_t)since;
}

/** Live bytes at this moment, dead objects since the last cycle included. */
uint64_t cycle_live_bytes(const struct arena *a)
{
	return live_now(a, tri_read(&a->view.ctl->allocated_bytes));
}

/* Heap size @live as a value of the client's allocation counter. */
static uint64_t counter_at(const struct arena *a, uint64_t live)
{
	if (live == PACER_NEVER)
		return UINT64_MAX;
	return live <= a->live_bytes ? a->live_at_bytes : a->live_at_bytes + (live - a->live_bytes);
}

static void publish_trigger(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t goal = pacer_goal_bytes(&a->pacer), slack;
	uint64_t in_force = (uint64_t)a->limit.in_force_bytes, fits, late, far;
	uint64_t overhead = pacer_overhead_bytes(&a->pacer);
	bool limited = pacer_limited(&a->pacer, a->limit.in_force_bytes);

	tri_write(&ctl->goal_bytes, goal);
	/* Small heaps get some slack: there a cycle's wake-ups take as long as filling the heap does. */
	slack = goal / 2 < LATE_SLACK_BYTES ? goal / 2 : LATE_SLACK_BYTES;
	if (limited && slack > in_force / LIMIT_SLACK_PARTS)
		slack = in_force / LIMIT_SLACK_PARTS;
	/*
	 * A goal that is low to have gaps filled is no danger: objects that fit take no pages.  One that
	 * GOGC sets is passed as others are, and then there may be no room for it.
	 */
	fits = in_force > overhead ? in_force - overhead : 0;
	late = goal == PACER_NEVER ? PACER_NEVER : goal + slack;
	far = a->limit.in_force_bytes == PACER_NO_LIMIT ? PACER_NEVER :
	      (goal > fits ? goal : fits) + in_force / LIMIT_FAR_PARTS;
	/* A limit that gives way is no reason to wait, but the kernel's is. */
	if (a->limit.held)
		late = far = limit_brake_bytes(a);
	tri_write(&ctl->late_bytes, counter_at(a, late));
	tri_write(&ctl->far_bytes, counter_at(a, far));
	if (a->pacer.marking)
		return;			/* the next trigger is the end of marking's business */
	a->trigger_bytes = limit_trigger(a, counter_at(a, pacer_trigger_bytes(&a->pacer)));
	tri_write(&ctl->trigger_bytes, a->trigger_bytes);
	/* Then cycle_due() reads the counter: pairs with tri_count_allocated(). */
	atomic_thread_fence(memory_order_seq_cst);
}

/** The client's settings, at attach and when it says that they have changed. */
void cycle_settings(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	struct pacer_config config = {
		.gc_percent = tri_read(&ctl->gc_percent),
		.memory_limit_bytes = limit_update(a),
		.procs = cpus_online(),
		.heap_minimum_bytes = a->heap_minimum_bytes,
	};

	pacer_configure(&a->pacer, &config);
	publish_trigger(a);
}

/*
 * A cycle costs something however little there is to mark: handshakes and wake-ups, some 100 µs.
 * A program that fills the smallest heap in that time would have a cycle always on.  The least
 * goal grows until the fixed part takes at most a tenth of the time, or it is as large as a
 * processor's cache; and shrinks again.
 */
static void adapt_minimum(struct arena *a)
{
	const struct cycle_figures *f = &a->now;
	uint64_t fixed = f->wall_ns[PHASE_BARRIER] + f->wall_ns[PHASE_TERMINATION] +
			 f->wall_ns[PHASE_SWEEP];
	uint64_t interval = clock_ns() - a->cycle_end_ns, minimum = a->heap_minimum_bytes;

	if (!a->cycle_end_ns)
		return;
	if (fixed > interval / 10 && minimum < HEAP_MINIMUM_MAX_BYTES)
		minimum *= 2;
	else if (fixed < interval / 40 && minimum > PACER_HEAP_MINIMUM_BYTES)
		minimum /= 2;
	if (minimum == a->heap_minimum_bytes)
		return;
	a->heap_minimum_bytes = minimum;
	cycle_settings(a);
}

/** Whether the client has allocated as much as the trigger allows. */
bool cycle_due(struct arena *a)
{
	return a->trigger_bytes != UINT64_MAX &&
	       tri_read(&a->view.ctl->allocated_bytes) > a->trigger_bytes;
}

/*
 * Mark what buffer @index got since it was looked at last; the entries beyond its count are not
 * ours to read.  An old entry must not make a new round of termination look as if it had found
 * something.
 */
static void drain_buffer(struct arena *a, uint32_t index)
{
	const struct tri_buffer *b = &a->view.buffers[index];
	uint32_t n = tri_read_acquire(&b->count), i;

	if (n > TRI_BUFFER_ENTRIES)
		n = TRI_BUFFER_ENTRIES;
	for (i = a->drained[index]; i < n; i++)
		mark_entry(&a->marker, tri_read(&b->entry[i]));
	a->drained[index] = (uint16_t)n;
}

/* The buffers that threads are filling at this moment. */
static void drain_slots(struct arena *a)
{
	const struct tri_view *v = &a->view;
	uint32_t i, n = tri_read(&v->ctl->slots_top);

	if (n > TRI_SLOTS)
		n = TRI_SLOTS;
	for (i = 0; i < n; i++) {
		uint32_t buffer = tri_read_acquire(&v->slots[i].buffer);

		if (buffer && buffer <= v->layout.nbuffers)
			drain_buffer(a, buffer - 1);
	}
}

/* The buffers that were handed over. */
static void drain_full(struct arena *a)
{
	const struct tri_view *v = &a->view;
	uint32_t next = (uint32_t)atomic_exchange(&v->ctl->full_buffers, 0), left = v->layout.nbuffers;

	while (next && next <= v->layout.nbuffers && left--) {
		uint32_t index = next - 1;

		next = tri_read(&v->buffers[index].next);
		/* From here on the agent gives it back if we die: see collector_gone() there. */
		tri_write(&v->buffers[index].state, TRI_BUFFER_COLLECTOR);
		drain_buffer(a, index);
		a->drained[index] = 0;
		tri_write(&v->buffers[index].state, TRI_BUFFER_FREE);
		tri_buffer_push(v, &v->ctl->free_buffers, index);
	}
}

/* Called now and then while marking: allocating threads owe by what is left to do. */
static void revise(void *arg)
{
	struct arena *a = arg;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t live;
	double ratio;

	limit_progress(a);
	live = cycle_live_bytes(a);
	ratio = pacer_revise(&a->pacer, live, mark_scan_bytes(&a->marker), 0);
	if (a->limit.held)
		ratio = live > limit_brake_bytes(a);

	/* 0 says that nothing is being marked. */
	tri_write(&ctl->assist_q16, ratio * 65536 < ASSIST_MOST_Q16 ? (uint64_t)(ratio * 65536) + 1 :
				    ASSIST_MOST_Q16);
	if (arena_is_rung(a))
		arena_orders(a);
}

/* Phases 3 and 4. */
static bool mark(struct arena *a, uint64_t *termination_ns, uint64_t *termination_cpu_ns)
{
	struct marker *m = &a->marker;
	struct tri_msg answer;
	uint64_t before, wall, cpu;

	for (;;) {
		drain_full(a);
		revise(a);
		mark_drain(m);
		wall = clock_ns();
		cpu = clock_cpu_ns();
		before = mark_objects(m);
		m->supplied = false;
		/* Credit is of no use now: past the goal, only the end of the cycle is. */
		tri_write(&a->view.ctl->assist_q16, ASSIST_MOST_Q16);
		TRI_POINT("cycle.collects");
		if (!arena_handshake(a, TRI_HANDSHAKE_COLLECT, &answer))
			return false;
		drain_slots(a);
		TRI_POINT("cycle.drained_slots");
		drain_full(a);
		TRI_POINT("cycle.drained");
		a->now.rounds++;
		if (mark_failed(m)) {
			log_line("%s: arena corrupt, or no memory to mark it: more to scan than it "
				 "can hold", a->name);
			return false;
		}
		if (mark_objects(m) == before && !m->supplied)
			break;
		if (a->now.rounds > ROUNDS_MAX) {
			log_line("%s: arena corrupt: %u rounds of termination", a->name,
				 a->now.rounds);
			return false;
		}
	}
	*termination_ns = clock_ns() - wall;
	*termination_cpu_ns = clock_cpu_ns() - cpu;
	return true;
}

static void wake(tri_au32 *word, uint32_t value)
{
	tri_write_release(word, value);
	tri_futex_wake(word);
}

/* Threads that wait before they take more from the kernel: there are free pages now, if there ever are. */
static void wake_throttled(struct tri_ctl *ctl)
{
	/* pairs with the count in wait_for() of the library's throttle.c */
	atomic_fetch_add(&ctl->throttle_seq, 1);
	if (atomic_load(&ctl->throttled_now))
		tri_futex_wake(&ctl->throttle_seq);
}

static void end_pacing(struct arena *a, uint64_t black_at, uint64_t end_at, bool forced)
{
	struct cycle_figures *f = &a->now;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t black = end_at > black_at ? end_at - black_at : 0;
	uint64_t mark_ns = f->wall_ns[PHASE_MARK] + f->wall_ns[PHASE_TERMINATION] + 1;
	uint64_t mark_cpu = f->cpu_ns[PHASE_MARK] + f->cpu_ns[PHASE_TERMINATION];
	struct pacer_end end = {
		.heap_live_bytes = live_now(a, end_at),
		.marked_bytes = mark_bytes(&a->marker) + black,
		.heap_scan_bytes = mark_scan_bytes(&a->marker),
		.globals_scan_bytes = f->root_bytes,
		.gc_utilization = (double)mark_cpu / ((double)mark_ns * cpus_online()),
		.memory = {
			.mapped_bytes = limit_resident_bytes(a),
			.heap_alloc_bytes = live_now(a, end_at),
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
	a->reached_bytes = end.marked_bytes - black;
	a->live_bytes = end.marked_bytes;
	a->live_at_bytes = end_at;
	tri_write(&ctl->live_bytes, a->live_bytes);
	/* Before the sweep: threads past the old goal wait for the new one. */
	publish_trigger(a);
	mark_wake_assists(&a->marker);
}

/**
 * Run a cycle to its end.  False: the client is gone, or the cycle can't be trusted; then the
 * caller closes the connection, and the client's agent goes on as after the death of a collector.
 */
bool cycle_run(struct arena *a, bool forced)
{
	struct cycle_figures *f = &a->now;
	struct tri_ctl *ctl = a->view.ctl;
	uint32_t gc_wanted = a->gc_wanted, free_wanted = a->free_wanted;
	uint64_t wall = clock_ns(), cpu = clock_cpu_ns(), allocated, black_at, termination, t_cpu;
	struct pacer_start start;
	struct tri_msg answer;
	int i;

	memset(f, 0, sizeof(*f));
	arena_cycle_begins(a);
	arena_phase(a, PHASE_BARRIER);
	linked_wake(a);
	a->triggered = false;
	if (a->fresh)
		sweep_clear_marks(a);
	a->fresh = false;
	allocated = tri_read(&ctl->allocated_bytes);
	f->start_bytes = live_now(a, allocated);
	start = (struct pacer_start){ .heap_live_bytes = f->start_bytes };
	pacer_cycle_start(&a->pacer, &start);
	tri_write(&ctl->trigger_bytes, UINT64_MAX);

	if (!arena_handshake(a, TRI_HANDSHAKE_START, &answer))
		return false;
	TRI_POINT("cycle.scanned");
	black_at = answer.answer.allocated_bytes;
	f->root_bytes = answer.answer.root_bytes;
	arena_phase(a, PHASE_MARK);
	mark_begin(&a->marker, a->cycle + 1);
	memset(a->drained, 0, sizeof(a->drained));
	a->marker.progress = revise;
	a->marker.progress_arg = a;
	f->wall_ns[PHASE_BARRIER] = clock_ns() - wall;
	f->cpu_ns[PHASE_BARRIER] = clock_cpu_ns() - cpu;

	wall += f->wall_ns[PHASE_BARRIER];
	cpu += f->cpu_ns[PHASE_BARRIER];
	if (!mark(a, &termination, &t_cpu))
		return false;
	f->wall_ns[PHASE_MARK] = clock_ns() - wall - termination;
	f->cpu_ns[PHASE_MARK] = clock_cpu_ns() - cpu - t_cpu + a->marker.helper_cpu_ns;
	f->workers = 1 + (a->marker.helpers_seen ? 1 : 0);
	f->objects = mark_objects(&a->marker);
	f->scan_bytes = mark_scan_bytes(&a->marker);
	if (a->checkmark && !checkmark_run(a))
		return false;

	arena_phase(a, PHASE_TERMINATION);
	wall = clock_ns();
	cpu = clock_cpu_ns();
	tri_write(&ctl->assist_q16, 0);
	if (!arena_handshake(a, TRI_HANDSHAKE_BARRIER_OFF, &answer))
		return false;
	a->cycle++;
	f->wall_ns[PHASE_TERMINATION] = termination + clock_ns() - wall;
	f->cpu_ns[PHASE_TERMINATION] = t_cpu + clock_cpu_ns() - cpu;
	end_pacing(a, black_at, answer.answer.allocated_bytes, forced);

	arena_phase(a, PHASE_SWEEP);
	wall = clock_ns();
	cpu = clock_cpu_ns();
	TRI_POINT("cycle.sweeps");
	sweep_all(a);
	f->wall_ns[PHASE_SWEEP] = clock_ns() - wall;
	f->cpu_ns[PHASE_SWEEP] = clock_cpu_ns() - cpu;
	adapt_minimum(a);
	limit_cycle_end(a);

	for (i = 0; i < PHASES; i++)
		a->gc_cpu_ns += f->cpu_ns[i];
	a->cycle_end_ns = clock_ns();
	atomic_fetch_add(&ctl->cycles, 1);
	atomic_fetch_add(&ctl->forced_cycles, forced);
	tri_write(&ctl->mark_cpu_ns, a->gc_cpu_ns);
	if (free_wanted != a->free_done || arena_free_ordered(a))
		scavenge(a, UINT64_MAX);
	if (free_wanted != a->free_done) {
		a->free_done = free_wanted;
		wake(&ctl->free_done, free_wanted);
	}
	scavenge_begin(a);
	if (a->trace_gc)
		trace_cycle(a, forced);
	if (a->trace_pacer)
		trace_pacer(a);
	if (a->trace_scav)
		trace_scavenger(a);
	if (gc_wanted != a->gc_done) {
		a->gc_done = gc_wanted;
		wake(&ctl->gc_done, gc_wanted);
	}
	wake_throttled(ctl);
	arena_cycle_over(a);
	return true;
}
