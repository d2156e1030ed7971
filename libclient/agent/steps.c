// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * steps.c - TRICOLOR_DEBUG=gc=N: the program and its cycles take turns
 *
 *  1. All allocations and stores call the library, as they do where there are no restartable
 *     sequences, and are counted.
 *  2. After every Nth one its thread waits until one more handshake of a cycle, a *step*, is over.
 *     It asks for a cycle if none is on.
 *  3. The agent executes a handshake when a thread waits for a step, or for a whole cycle.  Until
 *     then it lets the collector wait, and the program has its turn.  It does so for HOLD_NS at
 *     most, because a program may neither allocate nor store for hours.
 *
 * So there are N operations from one handshake to the next, unless they take longer than that.  In
 * the loop of a small test each operation comes after each handshake: after H1, when marking
 * begins with the barrier on; after H3, when marking goes on or has ended; after H4, when what the
 * operation has just dropped is swept.
 *
 * A thread waits outside and without a lock, as in tri_gc().  So it does not wait if it is still
 * inside, or has list_lock: in an allocation within an allocation, in a handler that interrupted
 * the library, in a handler of fork().  A thread without a record does not wait either.  If a wait
 * fails because there is no collector, the thread goes on, and the agent has reported why.
 */
#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../start/init.h"
#include "../base/lock.h"
#include "../base/state.h"
#include "steps.h"
#include "../threads/thread.h"

#define HOLD_NS 100000000ull

static tri_au32 operations;
static tri_au32 wanted;			/* the latest step that a thread waits for */
static tri_au32 whole;			/* threads that wait for whole cycles; a thread that jumps
					 * out of the wait stays counted */
static tri_au32 turns;			/* futex: one of these has changed */

static void turn(void)
{
	atomic_fetch_add(&turns, 1);
	tri_futex_wake(&turns);
}

static bool is_wanted(void)
{
	return (int32_t)(tri_read(&wanted) - tri_read(&tri_g.steps)) > 0 || tri_read(&whole) ||
	       tri_read(&tri_g.view.ctl->waiting);
}

/** Let the program have its turn.  Called by the agent before a handshake, without a lock. */
void tri_step_hold(void)
{
	uint64_t began = tri_now_ns(), held;
	uint32_t seen;

	while (tri_g.settings.gc_every) {
		seen = tri_read_acquire(&turns);
		held = tri_now_ns() - began;
		if (held >= HOLD_NS || is_wanted())
			break;
		tri_futex_wait(&turns, seen, (int64_t)(HOLD_NS - held));
	}
}

/** A handshake was executed, or a cycle abandoned.  Called by the agent, without a lock. */
void tri_step_done(void)
{
	atomic_fetch_add(&tri_g.steps, 1);
	if (tri_g.settings.gc_every)
		tri_futex_wake(&tri_g.steps);
}

/** The calling thread begins to wait for a whole cycle, or ends this wait. */
void tri_step_whole(bool begins)
{
	if (!tri_g.settings.gc_every)
		return;
	if (begins)
		atomic_fetch_add(&whole, 1);
	else
		atomic_fetch_sub(&whole, 1);
	turn();
}

static void want(uint32_t step)
{
	uint32_t now = tri_read(&wanted);

	while ((int32_t)(step - now) > 0 && !atomic_compare_exchange_weak(&wanted, &now, step))
		;
	turn();
}

/** @t has made an allocation or a store.  True: it is to wait until *@step handshakes are done. */
bool tri_step_is_due(struct tri_thread *t, uint32_t *step)
{
	uint32_t seen;

	if (t == tri_g.common || t->depth || tri_between)
		return false;
	if ((atomic_fetch_add(&operations, 1) + 1) % tri_g.settings.gc_every)
		return false;
	/*
	 * Acquire: pairs with the increment in tri_step_done(), which comes after the end of a
	 * cycle.  So a cycle that is on here has a step to come, and if none is on, the one that is
	 * asked for has.
	 */
	seen = tri_read_acquire(&tri_g.steps);
	if (__atomic_load_n(&tri_g.phase, __ATOMIC_RELAXED) == TRI_PHASE_OFF)
		atomic_fetch_add(&tri_g.gc_wanted, 1);
	*step = seen + 1;
	want(*step);
	return true;
}
