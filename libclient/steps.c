// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * steps.c - TRICOLOR_DEBUG=gc=N: the program and its cycles take turns
 *
 *  1. All allocations and stores come into the library, as they do where there are no restartable
 *     sequences, and are counted.
 *  2. After every Nth one its thread waits for one more handshake of a cycle (a step) to be over,
 *     and asks for a cycle if none is on.
 *  3. The agent executes a handshake when a thread waits so, or waits for a whole cycle.  Until
 *     then it lets the collector wait: the program has its turn.  It does so for HOLD_NS at most,
 *     as a program may do neither for hours.
 *
 * So there are N operations from one handshake to the next, unless they take longer than that, and
 * in the loop of a small test each of them meets what comes after each: after H1 marking with its
 * barrier on, after H3 marking that goes on or has ended, after H4 the sweep of what it has just
 * dropped.
 *
 * A thread waits outside and without a lock, as in tri_gc().  So who is inside still, or has
 * list_lock, does not wait: an allocation in an allocation, a handler that interrupted the library,
 * a handler of fork().  Nor does a thread without a record.  A wait that fails, as there is no
 * collector, is none: agent.c has said why.
 */
#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "init.h"
#include "lock.h"
#include "state.h"
#include "steps.h"
#include "thread.h"

#define HOLD_NS 100000000ull

static tri_au32 operations;
static tri_au32 wanted;			/* the step that a thread waits for; earlier ones are
					 * wanted too */
static tri_au32 whole;			/* threads that wait for whole cycles; one that a jump
					 * took out stays */
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

/* The agent, before a handshake, with no lock: let the program have its turn. */
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

/* The agent, with no lock: a handshake has been executed, or a cycle abandoned. */
void tri_step_done(void)
{
	atomic_fetch_add(&tri_g.steps, 1);
	if (tri_g.settings.gc_every)
		tri_futex_wake(&tri_g.steps);
}

/* The calling thread begins to wait for a whole cycle, or ends that. */
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

/*
 * @t has made an allocation or a store.  True: it is to wait until *@step handshakes are done.
 */
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
