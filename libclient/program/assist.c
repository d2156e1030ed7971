// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * assist.c - allocating threads pay for marking
 *
 * While a cycle marks, each allocated byte owes assist_q16 / 65536 bytes of scanning.  A thread
 * pays for 16 KiB of allocation at a time:
 *
 *  1. from the credit that the collector's workers earn;
 *  2. by scanning spans that the collector has put on offer in the arena, for at most TURN_NS at a
 *     time.  What it marks there and does not scan goes to the collector as GREY entries of its
 *     buffer.  The thread is inside meanwhile, so a round of termination waits for it, and finds
 *     the entries.  It still owes what it has not paid when its turn is over, and pays that after
 *     its next few allocations;
 *  3. if there is nothing to scan and the heap is past its goal, by waiting for credit, for a
 *     turn at a time.
 *
 * A thread whose heap is past its goal also waits when nothing is marked.  From the trigger until
 * the next goal is known a cycle is under way, however long agent and collector wait for a CPU, and
 * where CPUs are short nothing else holds the program back.  While a cycle ends, in rounds of
 * termination, credit is of no use, and the ratio says so.
 *
 * A wait is an interruption, and therefore short.  But the debt stays, and the thread waits again
 * after its next few allocations until it is paid.  It yields meanwhile, so that a collector that
 * wants this CPU gets it.  It sleeps only when the heap is twice its goal, or past it by more than
 * a little under a memory limit (far_bytes), or when threads are many.  Hundreds of threads that
 * yield to each other would leave nothing to the agent, which is one of them, and those that were
 * preempted inside would keep it waiting.
 *
 * Past far_bytes the heap should not grow until the cycle ends.  Credit buys nothing there, and
 * turns of scanning are as long as waits.  With credit and short turns, which let a thread get
 * ahead by 16 KiB in 40 µs, a growing heap used up in one cycle all that was left up to the
 * kernel's limit.
 *
 * A wait is no blocking region.  The thread answers the agent itself: between two checks, or while
 * it sleeps in the handler of the handshake signal.  So a handler of the program that interrupts
 * the wait may do anything, and may jump out of it.
 *
 * A collector that is slow, stopped or dead must not hold the program up.  work_seq changes when
 * the collector or the agent has done something.  After patience_ns() of waits in which they have
 * not, or after CYCLE_PATIENCE_NS of waits for one cycle, debts are forgiven.  Each further futile
 * wait halves how often the thread tries again, down to once in 1 MiB.
 */
#include <sched.h>
#include <time.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/marking.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/system/futex.h"
#include "assist.h"
#include "../base/attributes.h"
#include "../checker/checker.h"
#include "../base/error.h"
#include "gc.h"
#include "../start/init.h"
#include "inside.h"
#include "../base/lock.h"
#include "../roots/scan.h"
#include "../roots/shade.h"
#include "../base/signals.h"
#include "../base/state.h"

#define QUANTUM_BYTES 16384
#define DEBT_MAX_BYTES (1ull << 20)
#define TURN_NS 40000			/* of scanning or waiting at a time */
#define SLACK_BYTES (16ull << 20)	/* past twice the goal and this, waits are long */
#define LONG_NS 2000000			/* of a long wait, asleep */
#define PATIENCE_NS 20000000		/* of futile waits in a row; then waits are fewer */
#define CYCLE_PATIENCE_NS 2000000000	/* of waits for one cycle, whatever is done in it */
#define MANY_THREADS 16			/* with more than that, the next two apply */
#define MANY_LONG_NS 20000000
#define MANY_PATIENCE_NS 100000000
/*
 * Patience where a memory limit is in danger, and the kernel would kill somebody.  CPU quotas have
 * periods of 100 ms.  On a machine with four times as much to do as it has CPUs, collectors were
 * seen to get no CPU for 300 ms.  If the collector has died, nobody waits.
 */
#define DANGER_PATIENCE_NS 1000000000
#define WANT_ALL (INT64_MAX / 2)	/* bytes of scanning: until nothing is left to mark */
#define BACKOFF_MAX 6
#define LOCAL 64

struct assistant {
	struct tri_marking k;		/* first: see marking_queue_span() */
	struct tri_thread *t;
	uint32_t span[LOCAL];
	uint32_t n;
};

/* Give the object or span at @offset to the collector. */
static void hand_over(struct assistant *a, uint64_t offset)
{
	tri_append(a->t, TRI_ENTRY_GREY | offset);
}

static void marking_queue_span(struct tri_marking *k, uint32_t page)
{
	struct assistant *a = (struct assistant *)k;

	if (a->n < LOCAL)
		a->span[a->n++] = page;
	else
		hand_over(a, (uint64_t)page << TRI_PAGE_SHIFT);
}

static void marking_queue_object(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				 uint32_t index)
{
	hand_over((struct assistant *)k,
		  ((uint64_t)page << TRI_PAGE_SHIFT) + (uint64_t)index * c->size);
}

static bool take_credit(struct tri_ctl *ctl, int64_t want)
{
	int64_t credit = tri_read(&ctl->credit_bytes);

	while (credit >= want)
		if (atomic_compare_exchange_weak(&ctl->credit_bytes, &credit, credit - want))
			return true;
	return false;
}

/* Take a span that is on offer; 0: there is none.  @start: where to begin looking. */
static uint32_t take_span(const struct tri_view *v, uint32_t start)
{
	uint32_t i, page;

	if (!tri_read(&v->ctl->grey_count))
		return 0;
	for (i = 0; i < TRI_GREY_SLOTS; i++) {
		tri_au32 *slot = &v->grey[(start + i) % TRI_GREY_SLOTS];

		if (tri_read(slot) && (page = atomic_exchange(slot, 0))) {
			atomic_fetch_sub_explicit(&v->ctl->grey_count, 1, memory_order_relaxed);
			return page;
		}
	}
	tri_write(&v->ctl->grey_count, 0);
	return 0;
}

/*
 * Scan until @want bytes are paid, nothing is on offer, or the turn of @turn_ns that began at
 * @began_ns is over.
 */
static int64_t scan_some(struct tri_thread *t, int64_t want, uint64_t began_ns, uint64_t turn_ns)
{
	const struct tri_view *v = &tri_g.view;
	struct assistant a;
	uint32_t page;

	if (!tri_read(&v->ctl->grey_count))
		return 0;
	tri_enter();
	if (!tri_read(&t->marking)) {
		tri_leave(t);
		return 0;
	}
	tri_marking_init(&a.k, v, t->gen + 1);
	a.t = t;
	a.n = 0;
	while ((int64_t)a.k.scan_bytes < want && tri_now_ns() - began_ns < turn_ns) {
		if (!a.n)
			tri_marking_flush(&a.k);
		page = a.n ? a.span[--a.n] : take_span(v, t->slot_index * 16);
		if (!page)
			break;
		tri_marking_scan_span(&a.k, page);
	}
	tri_marking_flush(&a.k);
	while (a.n)
		hand_over(&a, (uint64_t)a.span[--a.n] << TRI_PAGE_SHIFT);
	atomic_fetch_add_explicit(&v->ctl->assist_marked_bytes, a.k.marked_bytes,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&v->ctl->assist_scan_bytes, a.k.scan_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->ctl->assist_objects, a.k.objects, memory_order_relaxed);
	tri_forget_registers();
	tri_leave(t);
	return (int64_t)a.k.scan_bytes;
}

static bool many(void)
{
	return tri_g.nthreads > MANY_THREADS;
}

/* Whether the heap is so far past its goal that a memory limit is in danger. */
static bool in_danger(const struct tri_ctl *ctl)
{
	return tri_read(&ctl->allocated_bytes) > tri_read(&ctl->far_bytes);
}

/* After how many ns of futile waits in a row debts are forgiven. */
static uint64_t patience_ns(const struct tri_ctl *ctl)
{
	if (in_danger(ctl))
		return DANGER_PATIENCE_NS;
	return many() ? MANY_PATIENCE_NS : PATIENCE_NS;
}

/* Whether to wait.  After too many futile waits, most quanta go unpaid. */
static bool worth_waiting(struct tri_thread *t)
{
	uint32_t backoff = t->futile_waits < BACKOFF_MAX ? t->futile_waits : BACKOFF_MAX;

	return t->futile_ns < patience_ns(tri_g.view.ctl) || !(t->quanta++ & ((1u << backoff) - 1));
}

/* Bytes by which the heap is past its goal. */
static uint64_t overshoot(const struct tri_ctl *ctl)
{
	uint64_t now = tri_read(&ctl->allocated_bytes), late = tri_read(&ctl->late_bytes);

	return now > late ? now - late : 0;
}

/*
 * Whether a wait is over.  If @want is not 0: that much credit could be taken, or marking is over.
 * If it is 0: the cycle that was to come is marking, or the next goal is known.
 */
static bool relieved(struct tri_thread *t, struct tri_ctl *ctl, int64_t want)
{
	bool marking = tri_read(&t->marking);

	if (want)
		return !marking || (want != WANT_ALL && take_credit(ctl, want));
	return marking ? tri_read(&ctl->assist_q16) != 0 : !overshoot(ctl);
}

/*
 * Wait for the rest of a turn, and yield the CPU to whoever wants it.  The thread does not sleep: a
 * timer would wake it some 50 µs late, or the collector would have to wake it.
 */
static bool wait_turn(struct tri_thread *t, int64_t want, uint64_t began_ns)
{
	do {
		if (relieved(t, tri_g.view.ctl, want))
			return true;
		if (tri_read(&t->pending) && !t->depth)
			tri_signal_self(t);
		sched_yield();
	} while (tri_now_ns() - began_ns < TURN_NS);
	return false;
}

/* Sleep until the wait is over, for one long wait at most. */
static bool wait_long(struct tri_thread *t, int64_t want, uint64_t began_ns)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t longest = many() ? MANY_LONG_NS : LONG_NS;
	bool done;

	atomic_fetch_add(&ctl->waiting, 1);
	tri_write(&t->waits, 1);
	for (;;) {
		uint32_t seq = tri_read_acquire(&ctl->work_seq);
		uint64_t waited = tri_now_ns() - began_ns;

		done = relieved(t, ctl, want);
		if (done || waited >= longest)
			break;
		tri_futex_wait(&ctl->work_seq, seq, longest - waited);
	}
	tri_write(&t->waits, 0);
	atomic_fetch_sub(&ctl->waiting, 1);
	return done;
}

/* Wait for @want bytes.  Returns whether the debt is paid or forgiven. */
static bool wait_bounded(struct tri_thread *t, int64_t want, uint64_t began_ns)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	/* Among many threads that yield to each other the collector would be one of many. */
	bool far = many() || in_danger(ctl) ||
		   overshoot(ctl) > tri_read(&ctl->goal_bytes) + SLACK_BYTES, done;
	uint32_t seq = tri_read(&ctl->work_seq);
	uint64_t waited;

	done = far ? wait_long(t, want, began_ns) : wait_turn(t, want, began_ns);
	waited = tri_now_ns() - began_ns;
	if (t->waits_cycle != tri_read(&ctl->cycles))
		t->waits_ns = 0;
	t->waits_cycle = tri_read(&ctl->cycles);
	t->waits_ns += waited;
	if (t->waits_ns < CYCLE_PATIENCE_NS && (done || tri_read(&ctl->work_seq) != seq)) {
		t->futile_waits = 0;
		t->futile_ns = 0;
		return done;
	}
	t->futile_ns += waited;
	if (!done && t->futile_ns < patience_ns(ctl))
		return false;
	t->futile_waits++;
	return true;
}

/* What is left of a debt of @want bytes of scanning, in bytes of allocation. */
static uint64_t still_owed(uint64_t debt, int64_t want, int64_t paid)
{
	uint64_t left = (uint64_t)((double)debt * (double)(want - paid) / (double)want);

	return left < DEBT_MAX_BYTES ? left : DEBT_MAX_BYTES;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/*
 * Count a turn that is over.  The price of a limit is counted in CPU time, which was @cpu_ns when
 * the turn began: where CPUs are short, most of the time from beginning to end belongs to others.
 * The time that was not ours is added first, so that the collector never sees more than there was.
 */
static void account(struct tri_ctl *ctl, uint64_t began_ns, bool limited, uint64_t cpu_ns)
{
	uint64_t took = tri_now_ns() - began_ns, used = limited ? thread_cpu_ns() - cpu_ns : took;

	if (used < took)
		atomic_fetch_add(&ctl->assist_slept_ns, took - used);
	atomic_fetch_add(&ctl->assist_ns, took);
	tri_interrupted(began_ns);
}

/**
 * Pay for what @t has allocated.  Called outside.  The caller's new object is in this function's
 * registers, or in a frame above.
 */
__attribute__((noinline))
void tri_assist(struct tri_thread *t)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t began, cpu = 0, debt = t->debt_bytes;
	int64_t want = 0, paid = 0, scanned = 0;
	bool limited;

	if (unlikely(tri_g.settings.gc_every))
		tri_step(t);
	if (debt < QUANTUM_BYTES)
		return;
	t->debt_bytes = 0;
	tri_say_unsaid();
	if (unlikely(tri_read(&tri_g.checks)))
		tri_check_pace(t);
	/* A forked child has no agent before it needs one. */
	if (unlikely(!tri_g.agent_tid && tri_read(&tri_g.wake)))
		tri_agent_ensure();
	if (tri_read(&t->marking)) {
		want = (int64_t)((unsigned __int128)debt * tri_read(&ctl->assist_q16) >> 16);
		if (want && in_danger(ctl))
			want = WANT_ALL;
		else if (want && take_credit(ctl, want))
			return;
	}
	/* Nothing is owed if no cycle marks.  Then a thread waits only past the goal. */
	if (!want && !overshoot(ctl))
		return;
	limited = tri_read(&ctl->limit_bytes) != INT64_MAX;
	began = tri_now_ns();
	if (limited)
		cpu = thread_cpu_ns();
	if (want) {
		scanned = scan_some(t, want, began, want == WANT_ALL ? LONG_NS : TURN_NS);
		paid = want == WANT_ALL ? 0 : scanned;
		if (paid && paid < want)
			t->debt_bytes += still_owed(debt, want, paid);
	}
	if (!paid && overshoot(ctl) && worth_waiting(t)) {
		if (!wait_bounded(t, want, began))
			t->debt_bytes += debt < DEBT_MAX_BYTES ? debt : DEBT_MAX_BYTES;
	} else if (!scanned) {
		return;
	}
	account(ctl, began, limited, cpu);
}
