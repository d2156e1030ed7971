// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * handshake.c - the client's half of a cycle, run by the agent when the collector asks
 *
 * Everything rests on the fence: after fence_all() each mutator has executed a full memory barrier,
 * and no restartable sequence that began before it can still commit (one that was under way starts
 * again and reads what the agent wrote before the fence).  membarrier(PRIVATE_EXPEDITED_RSEQ) does it
 * in one system call and interrupts nobody for more than a microsecond; where there is no membarrier,
 * a signal to each thread does the same.  After quiesce() each thread has moreover been outside the
 * library at least once since the fence, so that what it did inside under the old rules is over.
 *
 *	H1 barrier on	write every thread's barrier flag, and divert its allocations; fence; quiesce.
 *			Now every store shades.  Only then, thread by thread with its cache lock held,
 *			allocate black: a black object must not be reachable for a thread that could
 *			still store into it without shading.
 *	H2 scan		every thread scans its own stack, on its way out of the library or in the
 *			signal handler; the agent scans for blocked threads, and the roots.  Then
 *			allocations go inline again.
 *	H3 collect	fence; quiesce: what threads have shaded so far is in buffers that the
 *			collector can see.  No thread does anything for it.
 *	H4 barrier off	divert; fence; quiesce; thread by thread with its cache lock held: give back the
 *			cached spans, stop shading, allocate by the new bitmap.  When all have, and
 *			not before, spans may be swept.
 *
 * A thread that attaches in between takes list_lock and adopts the phase.  The agent holds list_lock
 * through each of these but not while it waits for threads to scan, as a thread that ends then
 * needs it.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>

#include "core/proto.h"
#include "futex.h"
#include "internal.h"

/* Threads get this long to answer by themselves before they are sent a signal. */
#define PATIENCE_NS 30000
/* A signal may find its thread inside; then the thread answers soon.  If not, it is sent again. */
#define RESEND_NS 2000000

/* A signal to every thread, and its answer. list_lock */
static void fence_by_signal(void)
{
	uint32_t fence = atomic_fetch_add(&tri_g.fence, 1) + 1, answers;
	struct tri_thread *t, *next;

	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		if (t->tls != &tri__tls && tri_read(&t->blocked) == TRI_RUNNING &&
		    tri_signal_send(t->tid) == -ESRCH)
			tri_thread_remove(t);
	}
	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		for (;;) {
			answers = tri_read_acquire(&tri_g.answers);
			/* Going into a blocking region and coming out of it are fences. */
			if (t->tls == &tri__tls || tri_read_acquire(&t->fence_seen) == fence ||
			    tri_read_acquire(&t->blocked) != TRI_RUNNING)
				break;
			tri_futex_wait(&tri_g.answers, answers, RESEND_NS);
			if (tri_read_acquire(&t->fence_seen) != fence && tri_signal_send(t->tid) == -ESRCH) {
				tri_thread_remove(t);
				break;
			}
		}
	}
}

/* list_lock */
static void fence_all(void)
{
	if (!tri_g.membarrier) {
		fence_by_signal();
		return;
	}
	/*
	 * The second restarts sequences; the interrupt that it does it with drains the store buffer, as any
	 * does on x86-64, and the kernel adds a barrier: it is a fence as well, and one is enough.
	 */
	syscall(SYS_membarrier, tri_g.rseq ? MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ :
		MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/*
 * An object is about to be unmapped, and with it the descriptors of the sequences that were inlined
 * into it.  The kernel follows a thread's rseq_cs whenever that thread comes back from a preemption:
 * it must not name one of them.  A signal makes the kernel clear it, as the thread is not in the
 * sequence (the program would not unmap code that runs); for a thread that is blocked we do.
 */
void tri_fence_unload(void)
{
	struct tri_thread *t, *self = tri__tls.thread;

	if (!tri_g.rseq)
		return;
	/* Not to be stopped with list_lock in its hands: see tri_thread_detach(). */
	if (self)
		self->depth++;
	pthread_mutex_lock(&tri_g.list_lock);
	fence_by_signal();
	for (t = tri_g.threads; t; t = t->next) {
		uint32_t blocked = TRI_BLOCKED;

		if (t == self) {
			__atomic_store_n(t->rseq_cs, 0, __ATOMIC_RELAXED);
		} else if (t->rseq_cs && atomic_compare_exchange_strong(&t->blocked, &blocked,
									TRI_BLOCKED_HELD)) {
			__atomic_store_n(t->rseq_cs, 0, __ATOMIC_RELAXED);
			tri_write_release(&t->blocked, TRI_BLOCKED);
			tri_futex_wake(&t->blocked);
		}
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	if (self && --self->depth == 0 && tri_read(&self->pending))
		tri_answer(self);
}

/* For waiting assists: the cycle is held up by the program's own threads, not by its collector. */
static void note_progress(void)
{
	atomic_fetch_add_explicit(&tri_g.view.ctl->work_seq, 1, memory_order_relaxed);
}

/* list_lock, after fence_all(). */
static void quiesce(void)
{
	struct tri_thread *t;
	int tries;

	for (t = tri_g.threads; t; t = t->next) {
		uint32_t visits = tri_read_acquire(&t->visits);

		if (!(visits & 1))
			continue;
		for (tries = 0; tri_read_acquire(&t->visits) == visits; tries++) {
			struct timespec pause = { 0, 20000 };

			note_progress();
			if (tries < 20)
				sched_yield();
			else
				nanosleep(&pause, NULL);
		}
	}
}

/* list_lock */
static void divert(void)
{
	struct tri_thread *t;

	for (t = tri_g.threads; t; t = t->next)
		t->tls->caches = tri_empty_caches;
}

/* list_lock */
static void undivert(void)
{
	struct tri_thread *t;

	atomic_thread_fence(memory_order_release);
	for (t = tri_g.threads; tri_g.rseq && t; t = t->next)
		t->tls->caches = t->caches;
}

/* Threads that wait for credit, or for the end of the cycle: see assist.c. */
static void wake_assists(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;

	atomic_fetch_add(&ctl->work_seq, 1);
	if (tri_read(&ctl->waiting))
		tri_futex_wake(&ctl->work_seq);
}

static void barrier_on(uint32_t cycle)
{
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_g.cycle = cycle;
	tri_g.phase = TRI_PHASE_BARRIER;
	for (t = tri_g.threads; t; t = t->next) {
		tri_write(&t->marking, 1);
		t->tls->barrier = 1;
	}
	divert();
	fence_all();
	quiesce();
	tri_g.phase = TRI_PHASE_BLACK;
	for (t = tri_g.threads; t; t = t->next) {
		/* A cycle that was abandoned had the same number: its scans do not count for this one. */
		tri_write(&t->scanned_cycle, 0);
		tri_lock(&t->cache_lock);
		tri_cache_blacken(t);
		tri_unlock(&t->cache_lock);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
}

/* A blocked thread's answer.  True if it was blocked; it stays held for a stop. */
static bool answer_for(struct tri_thread *t, uint32_t what)
{
	uint32_t blocked = TRI_BLOCKED;
	bool stop = what & TRI_PENDING_STOP;

	if (!atomic_compare_exchange_strong(&t->blocked, &blocked, TRI_BLOCKED_HELD))
		return false;
	tri_scan_frame(tri_g.agent, (uintptr_t)t->saved, (uintptr_t)(t->saved + t->nsaved), stop);
	tri_scan_stack(t, tri_g.agent, t->saved_sp, stop);
	tri_write(&t->scanned_cycle, tri_g.cycle);
	tri_write(&t->pending, 0);
	t->tls->attention = 0;
	if (!stop) {
		tri_write_release(&t->blocked, TRI_BLOCKED);
		tri_futex_wake(&t->blocked);
	}
	return true;
}

static bool has_answered(struct tri_thread *t, uint32_t what)
{
	if (what & TRI_PENDING_STOP)
		return tri_read_acquire(&t->stopped) ||
		       tri_read(&t->blocked) == TRI_BLOCKED_HELD;
	return tri_read_acquire(&t->scanned_cycle) == tri_g.cycle;
}

/*
 * Have every thread scan its stack, and with TRI_PENDING_STOP wait.  Threads may end meanwhile; a
 * thread that attaches scans itself (and is not held by a stop: it has nothing but its argument,
 * and the next thing that it does with the heap is to wait for list_lock or to come inside).
 */
static void ask_all(uint32_t what)
{
	uint64_t asked = tri_now_ns();
	bool signalled = false;
	struct tri_thread *t, *next;
	uint32_t answers;

	pthread_mutex_lock(&tri_g.list_lock);
	for (t = tri_g.threads; t; t = t->next) {
		if (has_answered(t, what))
			continue;
		t->signalled = false;
		tri_write(&t->pending, what);
		t->tls->attention = 1;
	}
	atomic_thread_fence(memory_order_seq_cst);
	for (;;) {
		bool waiting = false;
		uint64_t now = tri_now_ns();
		bool resend = now - asked > RESEND_NS;

		answers = tri_read_acquire(&tri_g.answers);
		for (t = tri_g.threads; t; t = next) {
			next = t->next;
			if (has_answered(t, what) || answer_for(t, what))
				continue;
			waiting = true;
			if (!tri_read(&t->pending) && !has_answered(t, what))
				tri_write(&t->pending, what);
			if (now - asked > PATIENCE_NS && (!t->signalled || resend)) {
				t->signalled = signalled = true;
				/* Ended without its destructors: a raw exit of the thread. */
				if (tri_signal_send(t->tid) == -ESRCH)
					tri_thread_remove(t);
			}
		}
		if (!waiting)
			break;
		if (resend)
			asked = now - PATIENCE_NS - 1;
		pthread_mutex_unlock(&tri_g.list_lock);
		note_progress();
		tri_futex_wait(&tri_g.answers, answers, signalled ? RESEND_NS : PATIENCE_NS);
		pthread_mutex_lock(&tri_g.list_lock);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void scan(void)
{
	ask_all(TRI_PENDING_SCAN);
	tri_roots_scan(tri_g.agent, false);
	tri_flush_buffer(tri_g.agent);
	pthread_mutex_lock(&tri_g.list_lock);
	undivert();
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void collect(void)
{
	pthread_mutex_lock(&tri_g.list_lock);
	fence_all();
	quiesce();
	pthread_mutex_unlock(&tri_g.list_lock);
}

/* All stay in the handler, or on their way out of the library, or held in a blocking region. */
static void stop(void)
{
	ask_all(TRI_PENDING_STOP);
	tri_roots_scan(tri_g.agent, true);
	tri_flush_buffer(tri_g.agent);
}

static void resume(void)
{
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	atomic_fetch_add(&tri_g.resume, 1);
	tri_futex_wake(&tri_g.resume);
	for (t = tri_g.threads; t; t = t->next) {
		if (tri_read(&t->blocked) == TRI_BLOCKED_HELD) {
			tri_write_release(&t->blocked, TRI_BLOCKED);
			tri_futex_wake(&t->blocked);
		}
	}
	pthread_mutex_unlock(&tri_g.list_lock);
}

/*
 * Change over: to the bitmap of the cycle that ends (@gen + 1), or, when it is abandoned, back to
 * where it began (@gen as it was).
 */
static void barrier_off(uint32_t gen)
{
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	divert();
	fence_all();
	quiesce();
	tri_g.phase = TRI_PHASE_OFF;
	tri_g.gen = gen;
	for (t = tri_g.threads; t; t = t->next) {
		tri_lock(&t->cache_lock);
		tri_cache_flush(t, false);
		t->gen = gen;
		t->black = 0;
		tri_write(&t->marking, 0);
		tri_write(&t->pending, 0);
		t->tls->attention = 0;
		/* What is left in its buffer is marked, or garbage. */
		if (t->buffer)
			tri_write(&tri_g.view.buffers[t->buffer - 1].count, 0);
		tri_unlock(&t->cache_lock);
		atomic_thread_fence(memory_order_release);
		t->tls->barrier = !tri_g.rseq;
	}
	tri_g.agent->gen = gen;
	/* A thread that came inside before its turn may still be at it under the old rules. */
	fence_all();
	quiesce();
	/* pairs with tri_central_take() */
	tri_central_restart();
	tri_write_release(&tri_g.sweepable, gen);
	undivert();
	pthread_mutex_unlock(&tri_g.list_lock);
	wake_assists();
}

/* The collector is gone in the middle of a cycle: end it without a sweep.  Its marks are void. */
void tri_handshake_abandon(void)
{
	if (tri_g.phase == TRI_PHASE_OFF)
		return;
	resume();
	barrier_off(tri_g.gen);
}

void tri_handshake(const struct tri_msg *ask, struct tri_msg *answer)
{
	struct tri_interruptions *i = &tri_g.interruptions;
	uint64_t allocated = 0;

	switch (ask->kind) {
	case TRI_HANDSHAKE_START:
		barrier_on(tri_g.gen + 1);
		allocated = tri_read(&tri_g.view.ctl->allocated_bytes);
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
		barrier_off(tri_g.gen + 1);
		allocated = tri_read(&tri_g.view.ctl->allocated_bytes);
		break;
	}
	memset(answer, 0, sizeof(*answer));
	answer->type = TRI_MSG_ANSWER;
	answer->kind = ask->kind;
	answer->cycle = ask->cycle;
	answer->a = tri_read(&tri_g.lost);
	answer->b = allocated;
	answer->interrupted_max_ns = atomic_exchange(&i->max_ns, 0);
	answer->interrupted_total_ns = atomic_exchange(&i->total_ns, 0);
	answer->interruptions = atomic_exchange(&i->count, 0);
	answer->threads = tri_g.nthreads;
	answer->root_bytes = tri_roots_bytes();
}
