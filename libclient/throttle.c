// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * throttle.c - threads are held back before the heap is at the kernel's limit
 *
 * Where a control group has a limit, the kernel kills whom it likes when that is reached.  The
 * collector keeps the heap below nine tenths of it; but a collector gets only the CPU time that the
 * system gives it, and is not there yet when a program begins.  So this needs no collector:
 *
 *  1. The agent measures the process's groups: what each may still take, file cache that the kernel
 *     can drop not counted.  The least of these counts.  From it go
 *
 *	what the heap has taken and not touched yet (untouched.c)
 *	a margin, for what is no heap and grows between two measurements: a 32nd of the limit
 *
 *     The rest is what the heap may take.  It measures when the heap starts, when a collector is
 *     looked for, and after that when a thread asks.
 *
 *  2. Each page that the heap takes and that has no memory yet is counted against the rest, with
 *     its tables.  Pages that have memory cost nothing.
 *
 *  3. Other heaps may be in the group (heaps.c), and what they have taken since its last
 *     measurement this one does not know.  So a measurement *grants* only a part of the rest: a
 *     GRANT_PARTS-th of the reserve (see 4), divided by the number of heaps, and that for
 *     VALID_NS.  Half-way a thread asks for the next measurement.  If that is late, a thread waits
 *     for it: for all of one allocation no longer than VALID_NS, and then it takes what it has
 *     asked for, if the last measurement has found as much.  An object that is larger than a grant
 *     is taken if a measurement finds the room that begins when it is wanted.
 *
 *  4. The last tenth of the limit is the *reserve*; the collector should have left it alone.  A
 *     thread that wants memory from the reserve is *throttled*: it waits, asleep, before it takes
 *     it.  All threads of all heaps together may take, in PACE_NS, as much as is left.  So the
 *     reserve is used up ever more slowly, and in a time that does not depend on how many threads
 *     or heaps there are.  A turn is for as many bytes as it was waited for.  When its time has
 *     come, a measurement is waited for that begins then: the turn is for nothing if that finds
 *     less than the turn was reckoned from.
 *
 *  5. Where that would take longer than TURN_NS, the thread asks for a cycle and waits for the
 *     cycle's end.  It looks again for free slots when any cycle has ended.
 *
 *  6. A thread that has been refused again after the cycle that it asked for has found no free slot
 *     anywhere: what lives does not fit, or others were faster.  It goes on, past the end of the
 *     reserve; but all threads together, of all heaps, do so for a PAST_PARTS-th of the margin in a
 *     cycle.  Who comes too late for that waits for the next cycle.  So a heap that fits gets back
 *     below the end in the cycles that follow, and one that does not fit is the kernel's to decide
 *     on in some cycles' time.
 *
 *  7. All waits of a thread in one cycle end after TRICOLOR_MAX_WAIT seconds, and so do all for one
 *     allocation.  If anything was done meanwhile the thread goes on, and the kernel decides.  If
 *     nothing was done the allocation fails, as it does without a collector (uncollected.c), and
 *     none waits again before something is done.
 *
 * Why the heap leaves the margin alone:
 *
 *  - A measurement counts each page once or twice.  It reads `taken` first, then what is not
 *    touched, and then what the group uses.  A page that is taken after the first has been read is
 *    counted by `taken`.  One that was taken before has its bit in untouched.c by then; if it is
 *    touched before that is read, its memory is in what the group uses, which is read later.
 *  - From one measurement to the next `taken` grows by all that the heap takes; it is read and
 *    changed with the page heap's lock held, so that no two threads take the same rest.
 *  - That several heaps do not take the same rest is argued in Documentation/design/limits.md.
 *  - Past the end of the rest come only those of 6 and 7, and threads that can't wait.
 *
 * What decides is in the library's own memory.  From the control page, which a collector writes,
 * comes that the cycle that was asked for has ended; and that is believed only if the agent has
 * been through a whole cycle meanwhile.  So a collector that writes nonsense can end a wait too
 * early by a cycle, and make none longer.
 *
 * The wait is no blocking region: a handler of the program's may interrupt it, and jump out of it.
 * Then the count of those that wait is too high by one, and wakes nobody at the end of each cycle.
 * A thread that is inside already, in a handler that interrupted an allocation, is not held back:
 * the agent may be waiting for it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../core/heap/layout.h"
#include "../core/system/cgroup.h"
#include "../core/system/cgroup_files.h"
#include "../core/system/futex.h"
#include "../core/system/point.h"
#include "agent.h"
#include "attributes.h"
#include "uncollected.h"
#include "error.h"
#include "heaps.h"
#include "init.h"
#include "headroom.h"
#include "lock.h"
#include "pageheap.h"
#include "scan.h"
#include "signals.h"
#include "state.h"
#include "thread.h"
#include "throttle.h"
#include "tricolor.h"
#include "untouched.h"

/*
 * Two periods of a CPU quota.  A collector that has one gets to do something in each of them, so
 * most cycles end while there is still something left of the reserve.
 */
#define PACE_NS 200000000ull
#define TURN_NS 100000000ull		/* one period */
#define LATE_NS 1000000000ull		/* a turn waits no longer for a measurement that is late */
#define VALID_NS 100000000ull		/* what a measurement has found holds for so long */
#define GRANT_PARTS 4
#define GRANT_MIN_BYTES ((int64_t)TRI_TAKEN_BYTES)	/* where there is no reserve to speak of */
#define AGAIN_NS 1000000000ull		/* which group it is is looked for so often at most */
#define PAST_PARTS 32

/* Agent only. */
static uint64_t found_ns;
static int64_t seen_limit;		/* of the control page */
static int64_t room_bytes = INT64_MAX;	/* for all, the margin is a part of it */

/* Written by the agent, but for `taken`; read by any thread. */
static tri_au32 enforced;		/* some group has a limit */
static tri_au64 taken_bytes;		/* by the heap, since the start; page heap's lock */
static tri_as64 end_bytes;		/* the value of `taken` at which nothing is left */
static tri_as64 reserve_bytes;		/* with so much left the reserve begins */
static tri_as64 grant_bytes;		/* that the last measurement allows, above the reserve */
static tri_as64 granted_bytes;		/* the value of `taken` at which that is used up */
static tri_au32 heaps;			/* that share the limit, this one included */
static tri_au64 past_bytes;		/* that threads may take past the end in a cycle */
static tri_au64 measured_ns;		/* when the last measurement began */
static tri_au32 begun, seen;		/* numbers of measurements: the last that has begun, and
					 * the last that has ended */
static tri_au32 asked;			/* for a measurement; any thread */
static tri_au64 turn_ns;		/* when the next turn in the reserve begins; any thread */
static tri_au64 past;			/* completed cycles << 32 | KiB taken past the end since;
					 * any thread */
static tri_au64 given_up;		/* 1 + tri_progress() at which waiting was in vain; any
					 * thread */

/* ------------------------------------------------------------------------------------------ */
/* Looking: the agent                                                                         */
/* ------------------------------------------------------------------------------------------ */

/* What the heap may take until the agent measures again. */
static int64_t grant(const struct tri_headroom *left)
{
	int64_t bytes = left->reserve / (int64_t)(GRANT_PARTS * left->heaps);

	return bytes > GRANT_MIN_BYTES ? bytes : GRANT_MIN_BYTES;
}

static void wake_throttled(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;

	/* pairs with the count in wait_for() */
	atomic_fetch_add(&ctl->throttle_seq, 1);
	if (atomic_load(&ctl->throttled_now))
		tri_futex_wake(&ctl->throttle_seq);
}

/** See what may still be taken.  Agent. */
void tri_throttle_measure(void)
{
	struct tri_headroom least = { .bytes = INT64_MAX }, left;
	int64_t room = INT64_MAX, most = INT64_MAX, promised = 0;
	uint64_t now = tri_now_ns(), taken;
	unsigned int sharers = 1;
	uint32_t measurement;
	size_t i;

	if (!found_ns || now - found_ns > AGAIN_NS) {
		tri_headroom_find_groups();
		found_ns = now;
	}
	/* A thread that asks from here on gets another measurement, and its number is larger. */
	tri_write(&asked, 0);
	measurement = atomic_fetch_add(&begun, 1) + 1;
	/*
	 * In this order: what is taken or touched meanwhile may be counted twice, and is not
	 * missed.
	 */
	taken = atomic_load(&taken_bytes);
	/* The device's arenas are charged otherwise. */
	if (tri_headroom_groups() && !tri_g.mapping.is_device)
		promised = (int64_t)tri_untouched_bytes();
	TRI_POINT("throttle.knows_promised");
	for (i = 0; i < tri_headroom_groups(); i++) {
		if (!tri_headroom_at(i, &left))
			continue;
		if (left.bytes + left.margin < room)
			room = left.bytes + left.margin;
		if (left.bytes - left.reserve < least.bytes - least.reserve)
			least = left;
		if (grant(&left) < most)
			most = grant(&left);
		if (left.heaps > sharers)
			sharers = left.heaps;
	}
	if (least.bytes != INT64_MAX) {
		room -= promised;
		least.bytes -= promised;
		tri_write(&end_bytes, (int64_t)taken + least.bytes);
		tri_write(&reserve_bytes, least.reserve);
		tri_write(&grant_bytes, most);
		tri_write(&granted_bytes, (int64_t)taken + most);
		tri_write(&past_bytes, (uint64_t)least.margin / PAST_PARTS / sharers);
		tri_write(&heaps, sharers);
	}
	room_bytes = room;
	tri_write(&measured_ns, now);
	tri_write_release(&seen, measurement);
	tri_write_release(&enforced, least.bytes != INT64_MAX);
	wake_throttled();
}

/**
 * Agent: what else than the heap may take, as the agent measured it last; INT64_MAX: no
 * limit.
 */
int64_t tri_throttle_room(void)
{
	return room_bytes;
}

/** Agent, each time that it has been woken. */
void tri_throttle_measure_if_asked(void)
{
	if (unlikely(tri_read(&asked)))
		tri_throttle_measure();
}

/**
 * Agent: a cycle is over for the client, and threads sweep for themselves.  The process may have
 * been moved to another group, which nobody tells: the collector's share tells, or the next second.
 */
void tri_throttle_cycle_over(void)
{
	int64_t limit = tri_read(&tri_g.view.ctl->limit_bytes);

	if (limit != seen_limit)
		found_ns = 0;
	seen_limit = limit;
	if (!found_ns || tri_now_ns() - tri_read(&measured_ns) > AGAIN_NS)
		tri_throttle_measure();
	else
		wake_throttled();
}

/** In the child of a fork(): it has not got the agent's descriptors. */
void tri_throttle_reset(void)
{
	tri_headroom_forget_groups();
	found_ns = 0;
	tri_write(&asked, 0);
	tri_write(&given_up, 0);
	tri_write(&past, 0);
}

/* ------------------------------------------------------------------------------------------ */
/* Taking                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static int64_t headroom_bytes(void)
{
	return tri_read(&end_bytes) - (int64_t)atomic_load(&taken_bytes);
}

/* What it may take when it tries again, if as much as @least_headroom is left then. */
static void let_pass(struct tri_thread *t, uint64_t bytes, int64_t least_headroom)
{
	t->pass_bytes = bytes;
	t->least_headroom = least_headroom;
}

static void ask_to_measure(void)
{
	if (!tri_read(&asked) && !atomic_exchange(&asked, 1))
		tri_agent_wake(TRI_WAKE_MEASURE);
}

/**
 * Whether @pages that have no memory may be taken.  False: the caller has to wait, or go without.
 * With the page heap's lock held until tri_throttle_took().
 */
bool tri_throttle_may_take(uint64_t pages)
{
	uint64_t bytes = pages * TRI_TAKEN_BYTES, age;
	struct tri_thread *t = tri__tls.thread;
	int64_t taken, left;

	if (likely(!tri_read_acquire(&enforced)) || !pages || unlikely(!t))
		return true;
	taken = (int64_t)atomic_load(&taken_bytes) + (int64_t)bytes;
	left = tri_read(&end_bytes) - taken;
	age = tri_now_ns() - tri_read(&measured_ns);
	if (taken > tri_read(&granted_bytes) - tri_read(&grant_bytes) / 2 || age > VALID_NS / 2)
		ask_to_measure();
	if (left >= tri_read(&reserve_bytes) && taken <= tri_read(&granted_bytes) &&
	    age <= VALID_NS)
		return true;
	if (bytes <= t->pass_bytes && left >= t->least_headroom)
		return true;
	t->short_bytes = bytes;
	return false;
}

/**
 * They have been taken, and their bits set in untouched.c: pairs with the first load in
 * tri_throttle_measure().
 */
void tri_throttle_took(uint64_t pages)
{
	struct tri_thread *t = tri__tls.thread;

	atomic_fetch_add(&taken_bytes, pages * TRI_TAKEN_BYTES);
	/* What it has waited for. */
	if (likely(t))
		let_pass(t, 0, 0);
}

/* ------------------------------------------------------------------------------------------ */
/* Waiting                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* What a turn for @bytes takes of the time of all heaps; 0: it would be too long. */
static uint64_t turn_cost(uint64_t bytes)
{
	int64_t left = headroom_bytes();
	unsigned __int128 cost;

	if (left <= (int64_t)bytes)
		return 0;
	cost = (unsigned __int128)bytes * PACE_NS * tri_read(&heaps) / (uint64_t)left;
	return cost <= TURN_NS ? (uint64_t)cost + !cost : 0;
}

/* If all heaps take @bytes at once, by the same measurement, half of the headroom has to stay. */
static int64_t least_headroom(uint64_t bytes)
{
	return (int64_t)(bytes * (PACE_NS / TURN_NS * tri_read(&heaps) - 1));
}

/* When the thread may take @bytes of the reserve; 0: it is not to wait for that. */
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

/* A measurement has begun and ended since the thread began to wait. */
static bool is_measured(const struct tri_throttled *w)
{
	return (int32_t)(tri_read_acquire(&seen) - w->measurement) > 0;
}

/* Completed cycles, as the agent has seen them. */
static uint32_t completed(void)
{
	return tri_read_acquire(&tri_g.sweepable);
}

/* A whole cycle has been, since it was asked for. */
static bool has_seen_a_cycle(const struct tri_throttled *w)
{
	return w->gc && (int32_t)(tri_read_acquire(&tri_g.view.ctl->gc_done) - w->gc) >= 0 &&
	       completed() != w->first_gen;
}

/* What this thread may still wait in the cycle that is under way, and for this allocation. */
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
 * Whether @bytes may be taken past the end in the cycle that is under way.  A large object is never
 * cut short.
 */
static bool take_past(uint64_t bytes)
{
	uint64_t was = tri_read(&past), cycle = completed(), kib = (bytes + 1023) / 1024, used;

	do {
		used = was >> 32 == cycle ? (uint32_t)was : 0;
		if (used && used + kib > tri_read(&past_bytes) / 1024)
			return false;
		used = used + kib < UINT32_MAX ? used + kib : UINT32_MAX;
	} while (!atomic_compare_exchange_weak(&past, &was, cycle << 32 | used));
	return true;
}

/* A turn is good for what a measurement finds that begins when the time has come. */
static void note_time(struct tri_throttled *w)
{
	if (!w->turn_ns || w->due || tri_now_ns() < w->turn_ns)
		return;
	w->due = true;
	w->measurement = tri_read(&begun);
}

/* An agent that has no CPU for as long as that is not waited for. */
static bool turn_has_come(const struct tri_throttled *w)
{
	return w->due && (is_measured(w) || tri_now_ns() - w->turn_ns >= LATE_NS);
}

/* Its turn has come, or waiting is of no use. */
static bool is_over(const struct tri_throttled *w)
{
	return w->for_measurement ? is_measured(w) : has_seen_a_cycle(w) || turn_has_come(w);
}

/* There is memory, or a cycle has ended, and it is worth another try. */
static bool relieved(const struct tri_throttled *w)
{
	if (w->for_measurement)
		return false;
	return !tri_read(&enforced) || completed() != w->gen ||
	       headroom_bytes() - (int64_t)w->bytes >= tri_read(&reserve_bytes);
}

/*
 * Wait for news, for @most or until it is the thread's turn.  At most VALID_NS, as an agent that is
 * busy measures late.  Returns how long that was; time in which the process was stopped does not
 * count.
 */
static uint64_t wait_for(struct tri_thread *t, const struct tri_throttled *w, uint64_t most)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t ns = most < VALID_NS ? most : VALID_NS, began = tri_now_ns(), took;
	uint32_t seq;

	if (w->turn_ns && !w->due && w->turn_ns < began + ns)
		ns = w->turn_ns > began ? w->turn_ns - began : 0;
	/*
	 * Then the conditions are read: pairs with wake_throttled(), and with the one in
	 * daemon/heap/cycle.c.
	 */
	atomic_fetch_add(&ctl->throttled_now, 1);
	tri_write(&t->waits, 1);
	seq = atomic_load(&ctl->throttle_seq);
	if (tri_read(&t->pending))
		tri_signal_self(t);
	TRI_POINT("throttle.waits");
	if (!relieved(w) && !is_over(w))
		tri_futex_wait(&ctl->throttle_seq, seq, (int64_t)ns);
	tri_write(&t->waits, 0);
	atomic_fetch_sub(&ctl->throttled_now, 1);
	took = tri_now_ns() - began;
	return took < 2 * VALID_NS ? took : 2 * VALID_NS;
}

/* Some measurement is needed, or the last one was long ago. */
static void ask_in_time(const struct tri_throttled *w)
{
	if (w->for_measurement || w->due || tri_now_ns() - tri_read(&measured_ns) > VALID_NS / 2)
		ask_to_measure();
}

/*
 * There is room, and no measurement that allows to take it: wait for one.  A measurement that is
 * late is not waited for any longer than what it finds would hold; then what the last one has
 * found has to do. That is also what bounds the time in which other threads take, each time, all
 * that a measurement allows.
 */
static void wait_for_measurement(struct tri_thread *t, struct tri_throttled *w)
{
	uint64_t now = tri_now_ns();

	if (!w->until_ns)
		w->until_ns = now + VALID_NS;
	w->for_measurement = true;
	w->measurement = tri_read(&begun);
	tri_forget_registers();
	while (!is_measured(w) && now < w->until_ns) {
		ask_in_time(w);
		wait_for(t, w, w->until_ns - now);
		now = tri_now_ns();
	}
	w->for_measurement = false;
	/* What is larger than all that a measurement allows is taken at once after one. */
	if (now >= w->until_ns || (int64_t)w->bytes > tri_read(&grant_bytes))
		let_pass(t, w->bytes, tri_read(&reserve_bytes));
}

static void ask_for_cycle(struct tri_throttled *w)
{
	if (w->gc)
		return;
	w->gc = atomic_fetch_add(&tri_g.gc_wanted, 1) + 1;
	/* 0 says that none was asked for. */
	if (!w->gc)
		w->gc = atomic_fetch_add(&tri_g.gc_wanted, 1) + 1;
	w->first_gen = completed();
	tri_agent_wake(TRI_WAKE_GC);
}

/* Patience is at its end.  True: something was done, so that the thread may go on. */
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
 * Memory was refused: wait, and try again.  False: the allocation fails.  The caller is outside,
 * and holds nothing that is not a root.
 */
bool tri_throttle_wait(struct tri_thread *t, struct tri_throttled *w)
{
	uint64_t most, took;

	if (!w->refused)
		*w = (struct tri_throttled){ .refused = true };
	/* A handler that interrupts the wait may be refused something itself. */
	w->bytes = t->short_bytes;
	t->short_bytes = 0;
	let_pass(t, 0, 0);
	if (!tri_g.settings.max_wait_s || t->depth ||
	    !__atomic_load_n(&tri_g.agent_tid, __ATOMIC_ACQUIRE)) {
		let_pass(t, UINT64_MAX, INT64_MIN);
		return true;
	}
	if (headroom_bytes() - (int64_t)w->bytes >= tri_read(&reserve_bytes)) {
		wait_for_measurement(t, w);
		return true;
	}
	if (!w->begun) {
		w->begun = true;
		w->gen = completed();
		w->progress = tri_progress();
	}
	/*
	 * A turn stays, whatever ends the wait for it; but not if it is for less, or others have
	 * taken the rest.
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
		/* It has looked since, and was refused. */
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

/** The allocation is over, one way or the other. */
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

/** An allocation has failed for that: leave a sentence. */
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
