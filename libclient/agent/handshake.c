// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * handshake.c - the client's half of a cycle, run by the agent when the collector asks
 *
 * The handshakes are built on two functions of fence.c.  After tri_fence_all() each mutator has
 * executed a full memory barrier.  No restartable sequence that began before it can still commit: a
 * sequence that was under way starts again, and reads what the agent wrote before the fence.  After
 * tri_quiesce() each thread has also been outside the library at least once since the fence.
 *
 *	H1 barrier on	Write every thread's barrier flag, and divert its allocations.  Fence and
 *			quiesce.  Now every store shades.  Only then, one thread after the other
 *			with its cache lock held, allocate black.  No thread may reach a black
 *			object while it could still store into the object without shading.
 *	H2 scan		The agent scans the roots.  Then every thread scans its own stack, on its
 *			way out of the library or in the signal handler, and the agent scans the
 *			stacks of blocked threads.  Then allocations are inlined again.  Roots are
 *			scanned first because they may vanish (dlclose(), munmap(),
 *			tri_root_remove()).  A pointer that a thread loads from a root before its
 *			stack is scanned is on that stack.  A pointer that it loads later was in
 *			the root when that was scanned, or was stored there through the barrier.
 *	H3 collect	Fence and quiesce.  After this, all that threads have shaded so far is in
 *			buffers that the collector can see.  The threads themselves do nothing.
 *	H4 barrier off	First queue the cleanups and finalizers of objects that are dead
 *			(specials.c): marking has ended, and nothing is swept yet.  Then
 *			divert, fence and quiesce.  Then, one thread after the other with its cache
 *			lock held, give back the cached spans, stop shading, and allocate by the new
 *			bitmap.  When that is done for all threads, and not before, spans may be
 *			swept.
 *
 * A thread that attaches meanwhile takes list_lock and adopts the phase.  The agent holds list_lock
 * through each handshake, with two exceptions.  It releases the lock while it waits for threads to
 * scan, because a thread that ends needs it.  It also does so when one thread has kept it waiting
 * for some time (unresponsive.c).
 */
#include <errno.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/proto/client.h"
#include "../../core/system/futex.h"
#include "../../core/system/held.h"
#include "../../core/system/point.h"
#include "agent.h"
#include "../limits/grant.h"
#include "../roots/shade.h"
#include "../heap/cache.h"
#include "../heap/central.h"
#include "../checker/checker.h"
#include "../roots/coroutine.h"
#include "../threads/fence.h"
#include "../heap/freed.h"
#include "handshake.h"
#include "queue_pipe.h"
#include "../heap/specials.h"
#include "../base/error.h"
#include "../threads/unresponsive.h"
#include "../base/lock.h"
#include "../heap/pageheap.h"
#include "../threads/region.h"
#include "../roots/pool_roots.h"
#include "../roots/root_scan.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "steps.h"
#include "../threads/thread.h"
#include "../threads/unattached.h"

/* Threads get this long to answer by themselves before they are sent a signal. */
#define PATIENCE_NS 30000
static void divert(void)
{
	struct tri_thread *t;

	tri_assert_held(&tri_g.list_lock);
	/* Threads that attach from now on find their allocations diverted as well. */
	tri_g.diverted = true;
	for (t = tri_g.threads; t; t = t->next)
		tri_divert(tri_tls_of(t), t->caches, TRI_DIVERTED_AGENT, 0);
}

static void undivert(void)
{
	struct tri_thread *t;

	tri_assert_held(&tri_g.list_lock);
	tri_g.diverted = false;
	atomic_thread_fence(memory_order_release);
	for (t = tri_g.threads; tri_g.rseq && t; t = t->next)
		tri_divert(tri_tls_of(t), t->caches, 0, TRI_DIVERTED_AGENT);
}

/* Wake the threads that wait for credit or for the end of the cycle: see assist.c. */
static void wake_assists(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;

	atomic_fetch_add(&ctl->work_seq, 1);
	if (tri_read(&ctl->waiting))
		tri_futex_wake(&ctl->work_seq);
}

/*
 * Switch barriers on.  Returns the value of the allocation counter from which on all bytes that it
 * counts are in black objects.
 */
static uint64_t barrier_on(uint32_t cycle)
{
	struct tri_unresponsive_wait wait = { 0 };
	uint64_t unused_bytes = 0, allocated;
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	tri_pool_roots_turn(cycle);
	tri_g.cycle = cycle;
	tri_g.phase = TRI_PHASE_BARRIER;
	for (t = tri_g.threads; t; t = t->next) {
		tri_write(&t->marking, 1);
		tri_flag_set(&tri_tls_of(t)->barrier, TRI_FLAG_AGENT, true);
	}
	divert();
	tri_fence_all();
	tri_quiesce();
	TRI_POINT("barrier_on.quiet");
	tri_g.phase = TRI_PHASE_BLACK;
	/* An abandoned cycle may have had the same number.  Its scans do not count for this one. */
	for (t = tri_g.threads; t; t = t->next)
		tri_write(&t->scanned_cycle, cycle - 1);
again:
	for (t = tri_g.threads; t; t = t->next) {
		if (t->black)
			continue;
		if (!tri_cache_lock_for_agent(t, &wait))
			goto again;
		unused_bytes += tri_cache_blacken(t);
		tri_unlock(&t->cache_lock);
	}
	allocated = tri_read(&tri_g.view.ctl->allocated_bytes);
	pthread_mutex_unlock(&tri_g.list_lock);
	return allocated - unused_bytes;
}

/*
 * Answer for @t if it is in a blocking region.  Returns whether it is.  If @what asks for a stop,
 * the thread stays held in its region.
 */
static bool answer_for(struct tri_thread *t, uint32_t what)
{
	bool stop = what & TRI_PENDING_STOP;

	if (!tri_region_hold(t))
		return false;
	tri_g.agent->fake_stack = t->fake_stack;
	tri_scan_frame(tri_g.agent, (uintptr_t)t->saved, (uintptr_t)(t->saved + t->nsaved), stop);
	tri_scan_stack(t, tri_g.agent, t->saved_sp, stop);
	tri_write(&t->scanned_cycle, tri_g.cycle);
	tri_write(&t->pending, 0);
	tri_flag_set(&tri_tls_of(t)->attention, TRI_FLAG_AGENT, false);
	if (!stop)
		tri_region_let_go(t);
	return true;
}

static bool has_answered(struct tri_thread *t, uint32_t what)
{
	if (what & TRI_PENDING_STOP)
		return tri_read_acquire(&t->stopped) ||
		       tri_blocked(tri_read(&t->blocked)) == TRI_BLOCKED_HELD;
	return tri_read_acquire(&t->scanned_cycle) == tri_g.cycle;
}

/*
 * Have every thread scan its stack, and with TRI_PENDING_STOP also wait.  Threads may end
 * meanwhile.  A thread that attaches meanwhile scans itself.  A stop does not hold such a thread.
 * It has nothing but its argument, and before it can do anything with the heap it has to take
 * list_lock or to come inside.
 */
static void ask_all(uint32_t what)
{
	uint64_t began = tri_now_ns(), asked = began;
	int64_t resend_ns = TRI_RESEND_NS;
	bool signalled = false;
	struct tri_thread *t, *next;
	uint32_t answers;

	struct tri_thread *silent = NULL;

	pthread_mutex_lock(&tri_g.list_lock);
	for (t = tri_g.threads; t; t = t->next) {
		if (has_answered(t, what))
			continue;
		t->signalled = false;
		tri_write(&t->pending, what);
		tri_flag_set(&tri_tls_of(t)->attention, TRI_FLAG_AGENT, true);
	}
	atomic_thread_fence(memory_order_seq_cst);
	for (;;) {
		bool waiting = false;
		uint64_t now = tri_now_ns();
		bool resend = now - asked > (uint64_t)resend_ns;

		answers = tri_read_acquire(&tri_g.answers);
		for (t = tri_g.threads; t; t = next) {
			next = t->next;
			if (tri_thread_over(t)) {
				tri_thread_remove(t);
				continue;
			}
			if (has_answered(t, what) || answer_for(t, what))
				continue;
			waiting = true;
			silent = t;
			if (!tri_read(&t->pending) && !has_answered(t, what))
				tri_write(&t->pending, what);
			/* A thread that waits in the library does not look at `pending`. */
			if ((now - asked > PATIENCE_NS || tri_read(&t->waits)) &&
			    (!t->signalled || resend)) {
				bool again = now - began > TRI_AGAIN_NS;

				t->signalled = signalled = true;
				/* The thread has ended by a raw exit, without its destructors. */
				if (tri_signal_send(t, again) == -ESRCH)
					tri_thread_remove(t);
			}
		}
		if (!waiting)
			break;
		/*
		 * The thread was not scanned, so nothing may be freed.  The cycle is given up in
		 * agent_session.c.  The thread may answer in a later one.
		 */
		if (now - began > TRI_REPORT_NS) {
			tri_unresponsive_report(silent);
			tri_write(&tri_g.cycle_is_void, 1);
			break;
		}
		if (resend) {
			asked = now - PATIENCE_NS - 1;
			resend_ns = tri_resend_longer(resend_ns);
		}
		pthread_mutex_unlock(&tri_g.list_lock);
		tri_note_progress();
		if (tri_is_agent)
			tri_grant_measure_if_asked();
		TRI_POINT("ask.waits");
		tri_futex_wait(&tri_g.answers, answers, signalled ? resend_ns : PATIENCE_NS);
		pthread_mutex_lock(&tri_g.list_lock);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void resume(void)
{
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	atomic_fetch_add(&tri_g.resume, 1);
	tri_futex_wake(&tri_g.resume);
	for (t = tri_g.threads; t; t = t->next) {
		if (tri_blocked(tri_read(&t->blocked)) == TRI_BLOCKED_HELD)
			tri_region_let_go(t);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
}

/*
 * Scan the threads that have never called the library and were not made by its pthread_create():
 * see unattached.c.  If they come and go faster than they are found, all attached threads wait
 * meanwhile, so that they make no new ones.
 */
static void scan_unknown(void)
{
	if (tri_unattached_scan(false))
		return;
	ask_all(TRI_PENDING_STOP);
	tri_unattached_scan(true);
	tri_unattached_release();
	resume();
}

static void scan(void)
{
	TRI_POINT("scan.begins");
	tri_pageheap_trim_dump();
	tri_roots_scan(tri_g.agent, false);
	pthread_mutex_lock(&tri_g.list_lock);
	tri_g.phase = TRI_PHASE_SCAN;
	pthread_mutex_unlock(&tri_g.list_lock);
	TRI_POINT("scan.roots_done");
	ask_all(TRI_PENDING_SCAN);
	TRI_POINT("scan.known_done");
	/* If a thread has not answered, this cycle frees nothing, and the search has no use. */
	if (!tri_read(&tri_g.cycle_is_void))
		scan_unknown();
	TRI_POINT("scan.threads_done");
	tri_coroutines_scan(tri_g.agent, false);
	tri_stack_complain();
	tri_flush_buffer(tri_g.agent);
	pthread_mutex_lock(&tri_g.list_lock);
	undivert();
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void collect(void)
{
	pthread_mutex_lock(&tri_g.list_lock);
	tri_fence_all();
	tri_quiesce();
	TRI_POINT("collect.quiet");
	pthread_mutex_unlock(&tri_g.list_lock);
}

/*
 * Stop all threads: each stays in the signal handler, or on its way out of the library, or is held
 * in its blocking region.
 */
static void stop(void)
{
	ask_all(TRI_PENDING_STOP);
	tri_coroutines_scan(tri_g.agent, true);
	tri_roots_scan(tri_g.agent, true);
	tri_flush_buffer(tri_g.agent);
}

/*
 * Switch barriers off.  @gen says by which bitmap threads allocate from now on.  It is the number
 * of the cycle that ends.  If the cycle is abandoned, it stays what it was before the cycle.
 */
static void barrier_off(uint32_t gen)
{
	struct tri_unresponsive_wait wait = { 0 };
	struct tri_thread *t;
	uint32_t buffer;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	divert();
	tri_fence_all();
	tri_quiesce();
	TRI_POINT("barrier_off.quiet");
	tri_g.phase = TRI_PHASE_OFF;
	tri_g.gen = gen;
again:
	for (t = tri_g.threads; t; t = t->next) {
		/* This was done for the thread already, or it has attached since. */
		if (!tri_read(&t->marking))
			continue;
		if (!tri_cache_lock_for_agent(t, &wait))
			goto again;
		tri_cache_flush(t, false);
		/* An abandoned cycle sweeps nothing, so notes of freed objects stay valid. */
		if (gen == tri_g.cycle)
			tri_free_take_notes(t);
		t->gen = gen;
		t->black = 0;
		tri_write(&t->marking, 0);
		tri_write(&t->pending, 0);
		tri_flag_set(&tri_tls_of(t)->attention, TRI_FLAG_AGENT, false);
		/*
		 * What is left in the thread's buffer is marked already, or garbage, so the buffer
		 * is emptied.  The thread may be inside and hand the buffer over at this moment.
		 * Then the buffer that was handed over is emptied, which does no harm.
		 */
		buffer = __atomic_load_n(&t->buffer, __ATOMIC_RELAXED);
		if (buffer)
			tri_write(&tri_g.view.buffers[buffer - 1].count, 0);
		tri_unlock(&t->cache_lock);
		atomic_thread_fence(memory_order_release);
		tri_flag_set(&tri_tls_of(t)->barrier, TRI_FLAG_AGENT, !tri_g.rseq);
		TRI_POINT("barrier_off.thread");
	}
	tri_g.agent->gen = gen;
	if (tri_g.common->buffer)
		tri_write(&tri_g.view.buffers[tri_g.common->buffer - 1].count, 0);
	/* A thread that came inside before its turn may still act on what it read before. */
	tri_fence_all();
	tri_quiesce();
	for (t = tri_g.threads; t; t = t->next)
		tri_write(&t->scanned_cycle, 0);
	tri_coroutines_forget_scans();
	TRI_POINT("barrier_off.changed");
	if (gen == tri_g.cycle)
		tri_free_withdraw(gen);
	tri_central_restart();
	/* Pairs with the acquire in tri_central_take(). */
	tri_write_release(&tri_g.sweepable, gen);
	if (gen == tri_g.cycle)
		tri_unresponsive_over();
	TRI_POINT("barrier_off.done");
	undivert();
	pthread_mutex_unlock(&tri_g.list_lock);
	wake_assists();
}

/*
 * Marking has ended: queue the cleanups and finalizers of dead objects.  False: a thread has kept a
 * lock for long, which only a signal handler that has interrupted it can explain.  Then the cycle
 * is void.
 */
static bool settle(uint64_t *kept_bytes)
{
	uint64_t busy_ns;

	if (!tri_specials_exist())
		return true;
	if (!tri_specials_settle(TRI_REPORT_NS, kept_bytes)) {
		tri_complain(TRI_COMPLAINT_FINALIZERS, true,
			     "tricolor: nothing can be freed: a thread was interrupted in a function "
			     "for cleanups or finalizers, and its signal handler goes on for long");
		atomic_fetch_add(&tri_g.unanswered, 1);
		tri_write(&tri_g.cycle_is_void, 1);
		return false;
	}
	TRI_POINT("barrier_off.settled");
	tri_queue_pipe_update();
	busy_ns = tri_special_busy_ns();
	if (busy_ns > TRI_BUSY_NS && tri_specials_queued())
		tri_complain(TRI_COMPLAINT_FINALIZERS, true,
			     "tricolor: a cleanup or finalizer (%p) has run for %llu seconds, and %u "
			     "others wait for it; let it return soon, or start a thread for what takes "
			     "long", (void *)(uintptr_t)tri_read(&tri_special_busy.function),
			     (unsigned long long)(busy_ns / 1000000000), tri_specials_queued());
	else
		tri_complaint_over(TRI_COMPLAINT_FINALIZERS);
	return true;
}

/* If the collector is gone in the middle of a cycle, end the cycle without a sweep. */
void tri_handshake_abandon(void)
{
	if (tri_g.phase == TRI_PHASE_OFF)
		return;
	resume();
	barrier_off(tri_g.gen);
	tri_step_done();
}

/**
 * Wait until the agent is in no handshake, or until @until_ns.  fork() calls this before it holds
 * the heap's locks for long, since a program may fork again and again.  The agent sleeps while it
 * waits for a lock, and a thread that is running can take the lock again before it wakes up.  So
 * the agent would get one lock per fork(), and a cycle would take as long as ten of them.  The
 * calling thread has none of the locks yet, is outside, and answers the library's signal.
 */
void tri_handshake_wait(uint64_t until_ns)
{
	uint64_t now;

	while (tri_read_acquire(&tri_g.in_handshake) && (now = tri_now_ns()) < until_ns) {
		TRI_POINT("handshake.waited_for");
		tri_futex_wait(&tri_g.in_handshake, 1, (int64_t)(until_ns - now));
	}
}

void tri_handshake(const struct tri_msg *ask, struct tri_msg *answer)
{
	struct tri_interruptions *i = &tri_g.interruptions;
	uint64_t allocated = 0, kept_bytes = 0;

	tri_write(&tri_g.in_handshake, 1);
	/* While all threads are stopped none of them can have its turn of a step. */
	if (ask->kind != TRI_HANDSHAKE_RESUME)
		tri_step_hold();
	switch (ask->kind) {
	case TRI_HANDSHAKE_START:
		allocated = barrier_on(tri_g.gen + 1);
		scan();
		break;
	case TRI_HANDSHAKE_COLLECT:
		collect();
		break;
	case TRI_HANDSHAKE_STOP:
		stop();
		break;
	case TRI_HANDSHAKE_RESUME:
		resume();
		break;
	case TRI_HANDSHAKE_BARRIER_OFF:
		/*
		 * This checks objects that were loaded since the roots were scanned.  What is
		 * loaded later can do no harm in this cycle: all reachable objects are marked.
		 */
		tri_roots_refuse_misfits();
		/* Threads must not sweep either.  tri_handshake_abandon() will end the cycle. */
		if (tri_read(&tri_g.cycle_is_void) || !settle(&kept_bytes))
			break;
		tri_check_pass(false);
		barrier_off(tri_g.gen + 1);
		tri_check_barriers_off();
		allocated = tri_read(&tri_g.view.ctl->allocated_bytes);
		break;
	}
	memset(answer, 0, sizeof(*answer));
	answer->type = TRI_MSG_ANSWER;
	answer->kind = ask->kind;
	answer->cycle = ask->cycle;
	answer->answer.incomplete = tri_read(&tri_g.cycle_is_void);
	answer->answer.allocated_bytes = allocated;
	answer->answer.kept_bytes = kept_bytes;
	answer->answer.interrupted_max_ns = atomic_exchange(&i->max_ns, 0);
	answer->answer.interrupted_total_ns = atomic_exchange(&i->total_ns, 0);
	answer->answer.interruptions = atomic_exchange(&i->count, 0);
	answer->answer.threads = tri_g.nthreads;
	answer->answer.root_bytes = tri_roots_bytes();
	tri_step_done();
	tri_note_progress();
	tri_write_release(&tri_g.in_handshake, 0);
	tri_futex_wake(&tri_g.in_handshake);
}
