// SPDX-License-Identifier: GPL-2.0-only
/*
 * cycle.c - one collection cycle of one arena
 *
 *  1. Barrier on (H1).  Nothing is marked before the stores of every thread shade.
 *  2. Scan (H2).  Stacks and roots are put into buffers.  One message asks for H1 and H2, because
 *     under load a wake-up of the agent costs more than its work.
 *  3. Mark, while the program runs: the objects in buffers, and then what these lead to, until
 *     nothing is known to be grey.  When this is so for the first time, what the records of
 *     cleanups and finalizers lead to is marked as well.
 *  4. Collect (H3).  What threads have shaded is now in buffers that can be read.  The buffers that
 *     threads are filling are read first, and then those that they have handed over, so that none
 *     is missed which is handed over between the two.  If any of it was white, step 3 follows
 *     again.  A round that finds nothing white ends marking; Documentation/design/marking.md has
 *     the argument.
 *  5. Barrier off (H4).  Each thread gives its spans back.
 *  6. Sweep, here and in allocating threads.  The next cycle waits until all is swept.
 */
#include "cycle.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "checkmark.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/heap/buffer.h"
#include "daemon/process/log.h"
#include "handshake.h"
#include "linked.h"
#include "mark.h"
#include "orders.h"
#include "pacing.h"
#include "publish.h"
#include "scavenge.h"
#include "specials.h"
#include "sweep.h"
#include "trace.h"
#include "core/system/point.h"

/* Each round but the last marks something; a heap that needs more rounds is lying. */
#define ROUNDS_MAX 100000


/*
 * Mark what was added to buffer @index since it was read last.  Entries beyond its count are not
 * ours to read.  Entries that were read before are skipped, because they would make a round of
 * termination look as if it had found something.
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

/* Drain the buffers that threads are filling at this moment. */
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

/* Drain the buffers that threads have handed over. */
static void drain_full(struct arena *a)
{
	const struct tri_view *v = &a->view;
	uint32_t next = (uint32_t)atomic_exchange(&v->ctl->full_buffers, 0),
		 left = v->layout.nbuffers;

	while (next && next <= v->layout.nbuffers && left--) {
		uint32_t index = next - 1;

		next = tri_read(&v->buffers[index].next);
		/* If we die the agent gives it back: collector_gone() in agent_session.c. */
		tri_write(&v->buffers[index].state, TRI_BUFFER_COLLECTOR);
		drain_buffer(a, index);
		a->drained[index] = 0;
		tri_write(&v->buffers[index].state, TRI_BUFFER_FREE);
		tri_buffer_push(v, &v->ctl->free_buffers, index);
	}
}

/* Called now and then while marking. */
static void progress(void *arg)
{
	struct arena *a = arg;

	pacing_progress(a);
	if (orders_are_waiting(a))
		orders_take(a);
}

/* When the part of a phase began that is being measured. */
struct lap {
	uint64_t wall_ns, cpu_ns;
};

static void lap_start(struct lap *l)
{
	l->wall_ns = clock_ns();
	l->cpu_ns = clock_cpu_ns();
}

/* Count what was spent since the lap began for @phase, and begin the next lap. */
static void lap_end(struct arena *a, enum phase phase, struct lap *l)
{
	struct lap began = *l;

	lap_start(l);
	a->now.wall_ns[phase] += l->wall_ns - began.wall_ns;
	a->now.cpu_ns[phase] += l->cpu_ns - began.cpu_ns;
}

/*
 * Steps 1 and 2.  @black_at: the allocation counter when objects began to be allocated black.
 */
static bool start(struct arena *a, struct lap *l, uint64_t *black_at)
{
	struct tri_msg answer;

	publish_phase(a, PHASE_BARRIER);
	if (linked_wake(a))
		pacing_update(a);
	if (a->fresh)
		sweep_clear_marks(a);
	a->fresh = false;
	pacing_begin_cycle(a);
	if (!handshake(a, TRI_HANDSHAKE_START, &answer))
		return false;
	TRI_POINT("cycle.scanned");
	*black_at = answer.answer.allocated_bytes;
	a->now.root_bytes = answer.answer.root_bytes;
	publish_phase(a, PHASE_MARK);
	mark_begin(&a->marker, a->cycle + 1);
	memset(a->drained, 0, sizeof(a->drained));
	a->marker.progress = progress;
	a->marker.progress_arg = a;
	lap_end(a, PHASE_BARRIER, l);
	return true;
}

/* Steps 3 and 4.  The last round counts for termination, and all before it for marking. */
static bool mark(struct arena *a, struct lap *l)
{
	struct cycle_figures *f = &a->now;
	struct marker *m = &a->marker;
	struct tri_msg answer;
	uint64_t before;

	for (;;) {
		drain_full(a);
		progress(a);
		mark_drain(m);
		if (!f->rounds) {
			specials_walk(m);
			mark_drain(m);
		}
		lap_end(a, PHASE_MARK, l);
		before = mark_objects(m);
		m->supplied = false;
		/* Past the goal only the end of the cycle helps, and credit does not. */
		tri_write(&a->view.ctl->assist_q16, PACING_ASSIST_MOST_Q16);
		TRI_POINT("cycle.collects");
		if (!handshake(a, TRI_HANDSHAKE_COLLECT, &answer))
			return false;
		drain_slots(a);
		TRI_POINT("cycle.drained_slots");
		drain_full(a);
		TRI_POINT("cycle.drained");
		f->rounds++;
		if (mark_failed(m)) {
			log_line("%s: arena corrupt, or no memory to mark it: more to scan than it "
				 "can hold", a->client.name);
			return false;
		}
		if (mark_objects(m) == before && !m->supplied)
			break;
		if (f->rounds > ROUNDS_MAX) {
			log_line("%s: arena corrupt: %u rounds of termination", a->client.name,
				 f->rounds);
			return false;
		}
		lap_end(a, PHASE_MARK, l);
	}
	lap_end(a, PHASE_TERMINATION, l);
	f->cpu_ns[PHASE_MARK] += m->helper_cpu_ns;
	f->workers = 1 + (m->job.joined ? 1 : 0);
	f->objects = mark_objects(m);
	f->scan_bytes = mark_scan_bytes(m);
	return true;
}

/* Step 5. */
static bool end_marking(struct arena *a, struct lap *l, uint64_t black_at, bool forced)
{
	struct tri_msg answer;

	publish_phase(a, PHASE_TERMINATION);
	lap_start(l);
	tri_write(&a->view.ctl->assist_q16, 0);
	if (!handshake(a, TRI_HANDSHAKE_BARRIER_OFF, &answer))
		return false;
	a->cycle++;
	lap_end(a, PHASE_TERMINATION, l);
	pacing_end_marking(a, black_at, &answer.answer, forced);
	mark_wake_assists(&a->marker);
	return true;
}

/* Step 6. */
static void sweep(struct arena *a, struct lap *l)
{
	publish_phase(a, PHASE_SWEEP);
	lap_start(l);
	TRI_POINT("cycle.sweeps");
	sweep_all(a);
	lap_end(a, PHASE_SWEEP, l);
	pacing_end_cycle(a);
}

static void wake(tri_au32 *word, uint32_t value)
{
	tri_write_release(word, value);
	tri_futex_wake(word);
}

/*
 * Let threads go on that wait before they take more memory from the kernel.  All pages that this
 * cycle could free are free now.
 */
static void wake_throttled(struct tri_ctl *ctl)
{
	/* pairs with the count in wait_for() of the library's throttle.c */
	atomic_fetch_add(&ctl->throttle_seq, 1);
	if (atomic_load(&ctl->throttled_now))
		tri_futex_wake(&ctl->throttle_seq);
}

static void count_cycle(struct arena *a, bool forced)
{
	struct arena_totals *t = &a->totals;
	struct tri_ctl *ctl = a->view.ctl;
	int i;

	for (i = 0; i < PHASES; i++)
		t->gc_cpu_ns += a->now.cpu_ns[i];
	if (a->now.interrupted_max_ns > t->interrupted_max_ns)
		t->interrupted_max_ns = a->now.interrupted_max_ns;
	t->interrupted_total_ns += a->now.interrupted_total_ns;
	t->interruptions += a->now.interruptions;
	a->cycle_end_ns = clock_ns();
	atomic_fetch_add(&ctl->cycles, 1);
	atomic_fetch_add(&ctl->forced_cycles, forced);
	tri_write(&ctl->mark_cpu_ns, t->gc_cpu_ns);
}

/* Meet the client's request to give free memory back, if it came before the cycle began. */
static void meet_free_request(struct arena *a)
{
	struct arena_requests *r = &a->requests;

	if (r->free_cycle != r->free_done || orders_want_release(a))
		scavenge(a, UINT64_MAX);
	if (r->free_cycle == r->free_done)
		return;
	r->free_done = r->free_cycle;
	wake(&a->view.ctl->free_done, r->free_done);
}

/* Meet the client's request for a cycle, of which the trace has been written by now. */
static void meet_gc_request(struct arena *a)
{
	struct arena_requests *r = &a->requests;

	if (r->gc_cycle == r->gc_done)
		return;
	r->gc_done = r->gc_cycle;
	wake(&a->view.ctl->gc_done, r->gc_done);
}

static void trace(struct arena *a, bool forced)
{
	if (a->trace.gc)
		trace_cycle(a, forced);
	if (a->trace.pacer)
		trace_pacer(a);
	if (a->trace.scav)
		trace_scavenger(a);
}

bool cycle_run(struct arena *a, bool forced)
{
	uint64_t black_at;
	struct lap lap;

	assert(a->phase == PHASES);
	lap_start(&lap);
	memset(&a->now, 0, sizeof(a->now));
	a->requests.gc_cycle = a->requests.gc_wanted;
	a->requests.free_cycle = a->requests.free_wanted;
	orders_cycle_begins(a);
	if (!start(a, &lap, &black_at) || !mark(a, &lap))
		return false;
	if (a->debug.checkmark && !checkmark_run(a))
		return false;
	if (!end_marking(a, &lap, black_at, forced))
		return false;
	sweep(a, &lap);

	count_cycle(a, forced);
	meet_free_request(a);
	scavenge_begin(a);
	trace(a, forced);
	meet_gc_request(a);
	wake_throttled(a->view.ctl);
	a->last = a->now;
	publish_phase(a, PHASES);
	publish_figures(a);
	/* This comes after the figures, so that whoever waited for the cycle finds it in them. */
	orders_cycle_ends(a);
	return true;
}
