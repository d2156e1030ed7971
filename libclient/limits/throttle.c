// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * throttle.c - threads that want memory near the kernel's limit wait for it
 *
 * grant.c says what the heap may take.  A thread that wants more is *throttled*: it waits, asleep,
 * before it takes memory.
 *
 *  1. A thread that wants memory above the reserve, but has no grant for it, waits for the next
 *     measurement: for all of one allocation no longer than TRI_VALID_NS.  Then it takes what it
 *     wants, if the last measurement has found as much.  For an object that is larger than a grant
 *     the thread waits for a measurement that begins when it is wanted.
 *
 *  2. A thread that wants memory of the reserve waits for its *turn*.  All threads of all heaps
 *     together may take, in PACE_NS, as much as is left.  So the reserve is used up ever more
 *     slowly, and in a time that does not depend on how many threads or heaps there are.  A turn
 *     is for the bytes that were waited for.  When its time has come, the thread waits for a
 *     measurement that begins then.  If that finds less than the turn was reckoned from, the turn
 *     is worth nothing.
 *
 *     Where that would take longer than TURN_NS, the thread asks for a cycle and waits for the
 *     cycle's end.  It looks for free slots again when any cycle has ended.
 *
 *  3. A thread that is refused again after the cycle that it asked for has found no free slot
 *     anywhere: what lives does not fit, or others were faster.  It goes on, past the headroom.
 *     But all threads together, of all heaps, do so for a PAST_PARTS-th (grant.c) of the margin in
 *     a cycle, and who comes too late for that waits for the next cycle.  So a heap that fits gets
 *     back below its limit in the cycles that follow.  One that does not fit is the kernel's to
 *     decide on after some cycles.
 *
 *  4. All waits of a thread in one cycle end after TRICOLOR_MAX_WAIT seconds, and so do all for one
 *     allocation.  If the collector has done anything meanwhile the thread goes on, and the kernel
 *     decides.  If it has done nothing the allocation fails, as it does without a collector
 *     (uncollected.c), and no thread waits again before something is done.
 *
 * What decides is in the library's own memory.  The control page, which a collector writes, says
 * only that the cycle that was asked for has ended.  This is believed only if the agent has been
 * through a whole cycle meanwhile.  So a collector that writes nonsense can end a wait too early by
 * a cycle, and can make none longer.
 *
 * The wait is no blocking region: a handler of the program may interrupt it, and jump out of it.
 * Then the count of waiting threads is too high by one, which costs a futile wake-up at the end of
 * each cycle.  A thread that is inside already, in a handler that interrupted an allocation, is not
 * held back: the agent may be waiting for it.
 */
#include <stdio.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "../base/error.h"
#include "grant.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "throttle.h"
#include "uncollected.h"

/*
 * Two periods of a CPU quota.  A collector that has one gets to do something in each of them, so
 * most cycles end while there is still something left of the reserve.
 */
#define PACE_NS 200000000ull
#define TURN_NS 100000000ull		/* one period */
#define LATE_NS 1000000000ull		/* how long a turn waits for a measurement that is late */

/* Written by any thread. */
static tri_au64 turn_ns;		/* when the next turn in the reserve begins */
static tri_au64 past;			/* completed cycles << 32 | KiB taken past the headroom
					 * since */
static tri_au64 given_up;		/* 1 + tri_progress() when a wait was given up */

/** In the child of a fork(). */
void tri_throttle_reset(void)
{
	tri_write(&given_up, 0);
	tri_write(&past, 0);
}

/* It may take @bytes when it tries again, if as much as @least_headroom is left then. */
static void let_pass(struct tri_thread *t, uint64_t bytes, int64_t least_headroom)
{
	t->pass_bytes = bytes;
	t->least_headroom = least_headroom;
}

/* How long a turn for @bytes takes of the time of all heaps; 0: too long. */
static uint64_t turn_cost(uint64_t bytes)
{
	int64_t left = tri_grant_headroom();
	unsigned __int128 cost;

	if (left <= (int64_t)bytes)
		return 0;
	cost = (unsigned __int128)bytes * PACE_NS * tri_read(&tri_grant.heaps) / (uint64_t)left;
	return cost <= TURN_NS ? (uint64_t)cost + !cost : 0;
}

/*
 * The headroom that must be left for a thread to take @bytes after its turn.  If each heap takes as
 * much at the same moment, by the same measurement, half of the headroom stays.
 */
static int64_t least_headroom(uint64_t bytes)
{
	return (int64_t)(bytes * (PACE_NS / TURN_NS * tri_read(&tri_grant.heaps) - 1));
}

/* When the thread may take @bytes of the reserve; 0: its turn would be too late. */
static uint64_t take_turn(uint64_t bytes, uint64_t now)
{
	uint64_t next = tri_read(&turn_ns), cost = turn_cost(bytes), at;

	if (!cost)
		return 0;
	do {
		at = (next > now ? next : now) + cost;
		if (at - now > TURN_NS)
			return 0;
	} while (!atomic_compare_exchange_weak(&turn_ns, &next, at));
	return at;
}

/* Whether a measurement has begun and ended since the thread began to wait. */
static bool is_measured(const struct tri_throttled *w)
{
	return (int32_t)(tri_read_acquire(&tri_grant.ended) - w->measurement) > 0;
}

/* The number of completed cycles, as the agent has seen them. */
static uint32_t completed(void)
{
	return tri_read_acquire(&tri_g.sweepable);
}

/* Whether the cycle that the thread has asked for has ended, and the agent was through one. */
static bool has_seen_a_cycle(const struct tri_throttled *w)
{
	return w->gc && (int32_t)(tri_read_acquire(&tri_g.view.ctl->gc_done) - w->gc) >= 0 &&
	       completed() != w->first_gen;
}

/* How long this thread may still wait in the present cycle, and for this allocation. */
static uint64_t patience_ns(struct tri_thread *t, const struct tri_throttled *w)
{
	uint64_t most = tri_g.settings.max_wait_s * 1000000000ull, waited;

	if (t->throttled_gen != completed()) {
		t->throttled_gen = completed();
		t->throttled_ns = 0;
	}
	waited = t->throttled_ns > w->ns ? t->throttled_ns : w->ns;
	return waited < most ? most - waited : 0;
}

/*
 * Whether @bytes may be taken past the headroom in the present cycle.  The first object of a cycle
 * may be of any size, or a large one would never be taken.
 */
static bool take_past(uint64_t bytes)
{
	uint64_t was = tri_read(&past), cycle = completed(), kib = (bytes + 1023) / 1024, used;

	do {
		used = was >> 32 == cycle ? (uint32_t)was : 0;
		if (used && used + kib > tri_read(&tri_grant.past_bytes) / 1024)
			return false;
		used = used + kib < UINT32_MAX ? used + kib : UINT32_MAX;
	} while (!atomic_compare_exchange_weak(&past, &was, cycle << 32 | used));
	return true;
}

/* When the time of a turn has come, a measurement is due that begins from now on. */
static void note_time(struct tri_throttled *w)
{
	if (!w->turn_ns || w->due || tri_now_ns() < w->turn_ns)
		return;
	w->due = true;
	w->measurement = tri_read(&tri_grant.begun);
}

/* Whether the turn may be taken.  An agent without a CPU is waited for until LATE_NS. */
static bool turn_has_come(const struct tri_throttled *w)
{
	return w->due && (is_measured(w) || tri_now_ns() - w->turn_ns >= LATE_NS);
}

/* Whether the wait is over. */
static bool is_over(const struct tri_throttled *w)
{
	return w->for_measurement ? is_measured(w) : has_seen_a_cycle(w) || turn_has_come(w);
}

/* Whether another try is worthwhile: there is memory, or a cycle has ended. */
static bool relieved(const struct tri_throttled *w)
{
	if (w->for_measurement)
		return false;
	return !tri_read(&tri_grant.enforced) || completed() != w->gen ||
	       tri_grant_headroom() - (int64_t)w->bytes >= tri_read(&tri_grant.reserve_bytes);
}

/*
 * Sleep until something has changed, for @most, or until the thread's turn; but not for longer than
 * TRI_VALID_NS, since a busy agent measures late.  Returns how long that took.  Time in which the
 * process was stopped does not count.
 */
static uint64_t wait_for(struct tri_thread *t, const struct tri_throttled *w, uint64_t most)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t ns = most < TRI_VALID_NS ? most : TRI_VALID_NS, began = tri_now_ns(), took;
	/* A thread that waits for a measurement only is not woken by the end of a cycle. */
	tri_au32 *count = w->for_measurement ? &tri_grant.waiting : &ctl->throttled_now;
	uint32_t seq;

	if (w->turn_ns && !w->due && w->turn_ns < began + ns)
		ns = w->turn_ns > began ? w->turn_ns - began : 0;
	/*
	 * The count goes up before the conditions are read.  Pairs with wake_throttled() in grant.c
	 * and in daemon/heap/cycle.c, which change a condition and then read the count.
	 */
	atomic_fetch_add(count, 1);
	tri_write(&t->waits, 1);
	seq = atomic_load(&ctl->throttle_seq);
	if (tri_read(&t->pending))
		tri_signal_self(t);
	TRI_POINT("throttle.waits");
	if (!relieved(w) && !is_over(w))
		tri_futex_wait(&ctl->throttle_seq, seq, (int64_t)ns);
	tri_write(&t->waits, 0);
	atomic_fetch_sub(count, 1);
	took = tri_now_ns() - began;
	return took < 2 * TRI_VALID_NS ? took : 2 * TRI_VALID_NS;
}

/* Ask for a measurement if the thread waits for one, or the last one was long ago. */
static void ask_in_time(const struct tri_throttled *w)
{
	if (w->for_measurement || w->due ||
	    tri_now_ns() - tri_read(&tri_grant.measured_ns) > TRI_VALID_NS / 2)
		tri_grant_ask();
}

/*
 * There is headroom above the reserve, and no grant for it: wait for a measurement.  A measurement
 * that is late is waited for no longer than it would be valid.  Then what the last one has found
 * has to do.  This also bounds the time in which other threads take all that each measurement
 * grants.
 */
static void wait_for_measurement(struct tri_thread *t, struct tri_throttled *w)
{
	uint64_t now = tri_now_ns();

	if (!w->until_ns)
		w->until_ns = now + TRI_VALID_NS;
	w->for_measurement = true;
	w->measurement = tri_read(&tri_grant.begun);
	tri_forget_registers();
	while (!is_measured(w) && now < w->until_ns) {
		ask_in_time(w);
		wait_for(t, w, w->until_ns - now);
		now = tri_now_ns();
	}
	w->for_measurement = false;
	/* More bytes than a whole grant are taken right after a measurement. */
	if (now >= w->until_ns || (int64_t)w->bytes > tri_read(&tri_grant.grant_bytes))
		let_pass(t, w->bytes, tri_read(&tri_grant.reserve_bytes));
}

static void ask_for_cycle(struct tri_throttled *w)
{
	if (w->gc)
		return;
	w->gc = atomic_fetch_add(&tri_g.gc_wanted, 1) + 1;
	/* In w->gc, 0 says that none was asked for. */
	if (!w->gc)
		w->gc = atomic_fetch_add(&tri_g.gc_wanted, 1) + 1;
	w->first_gen = completed();
	tri_agent_wake(TRI_WAKE_GC);
}

/*
 * The thread has waited as long as it may.  True: something was done meanwhile, so that it may take
 * the memory.
 */
static bool give_up(struct tri_thread *t, struct tri_throttled *w)
{
	uint64_t progress = tri_progress();

	if (progress != w->progress && tri_read(&tri_g.collector_pid)) {
		let_pass(t, w->bytes, INT64_MIN);
		return true;
	}
	tri_write(&given_up, progress + 1);
	w->failed = true;
	return false;
}

/**
 * The page heap has refused memory: wait until another try is worthwhile.  False: the allocation
 * fails.  The caller is outside, and holds no pointer that is not a root.
 */
bool tri_throttle_wait(struct tri_thread *t, struct tri_throttled *w)
{
	uint64_t most, took;

	if (!w->refused)
		*w = (struct tri_throttled){ .refused = true };
	/* A handler that interrupts the wait may be refused memory itself, and set this. */
	w->bytes = t->short_bytes;
	t->short_bytes = 0;
	let_pass(t, 0, 0);
	if (!tri_g.settings.max_wait_s || t->depth ||
	    !__atomic_load_n(&tri_g.agent_tid, __ATOMIC_ACQUIRE)) {
		let_pass(t, UINT64_MAX, INT64_MIN);
		return true;
	}
	if (tri_grant_headroom() - (int64_t)w->bytes >= tri_read(&tri_grant.reserve_bytes)) {
		wait_for_measurement(t, w);
		return true;
	}
	if (!w->begun) {
		w->begun = true;
		w->gen = completed();
		w->progress = tri_progress();
	}
	/*
	 * The thread keeps its turn, whatever ends the wait for it; but not if the turn is for less
	 * than is wanted now, or others have taken what is left.
	 */
	if (w->turn_ns && (w->bytes > w->turn_bytes || !turn_cost(w->bytes)))
		w->turn_ns = 0;
	if (!w->gc && !w->turn_ns) {
		w->turn_ns = take_turn(w->bytes, tri_now_ns());
		w->turn_bytes = w->bytes;
		w->due = false;
	}
	most = patience_ns(t, w);
	if (!w->turn_ns) {
		w->due = false;
		/* The thread has tried again since the cycle ended, and was refused. */
		if (has_seen_a_cycle(w) && completed() == w->gen) {
			if (take_past(w->bytes)) {
				let_pass(t, w->bytes, INT64_MIN);
				return true;
			}
			w->gc = 0;
		}
		if (tri_read(&given_up) == tri_progress() + 1)
			most = 0;
		if (!most)
			return give_up(t, w);
		ask_for_cycle(w);
	}
	tri_forget_registers();
	for (note_time(w); most && !relieved(w) && !is_over(w); note_time(w)) {
		ask_in_time(w);
		took = wait_for(t, w, most);
		w->ns += took;
		t->throttled_ns += took;
		most = took < most ? most - took : 0;
	}
	if (w->turn_ns && !most)
		let_pass(t, w->turn_bytes, 0);
	else if (turn_has_come(w))
		let_pass(t, w->turn_bytes, least_headroom(w->turn_bytes));
	else if (!most && !relieved(w) && !is_over(w))
		return give_up(t, w);
	w->gen = completed();
	return true;
}

/** The allocation has succeeded or failed: count its wait. */
void tri_throttle_end(struct tri_thread *t, const struct tri_throttled *w)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t longest;

	let_pass(t, 0, 0);
	if (!w->begun)
		return;
	atomic_fetch_add(&ctl->throttled, 1);
	atomic_fetch_add(&ctl->throttled_ns, w->ns);
	longest = tri_read(&ctl->throttled_max_ns);
	while (w->ns > longest &&
	       !atomic_compare_exchange_weak(&ctl->throttled_max_ns, &longest, w->ns))
		;
}

/** Leave a sentence that says that an allocation has failed after waiting.  Returns -ENOMEM. */
int tri_throttle_why(void)
{
	const char *reason = tri_complaint(TRI_COMPLAINT_NO_COLLECTOR);
	char state[128] = "";

	if (tri_read(&tri_g.collector_pid))
		tri_collector_state(state, sizeof(state));
	return tri_fail(
		ENOMEM,
		"tricolor: the memory limit of this control group is reached, and nothing was "
		"collected for %u seconds (TRICOLOR_MAX_WAIT): %s",
		tri_g.settings.max_wait_s,
		*state	? state :
		*reason ? reason :
			  "there is no collector yet");
}
