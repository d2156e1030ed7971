// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fence.c - a fence in every thread, and waiting until every thread has been outside the library
 *
 * After tri_fence_all() each mutator has executed a full memory barrier, and no restartable
 * sequence that began before it can still commit: one that was under way starts again, and reads
 * what the agent wrote before the fence.  membarrier(PRIVATE_EXPEDITED_RSEQ) does it in one system
 * call and interrupts nobody for more than a microsecond.  Where there is no membarrier, a signal
 * to each thread does the same.
 *
 * After tri_quiesce() each thread has also been outside the library at least once since the fence.
 * So every call that began before the fence, and may have read what held then, has ended.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/rseq.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/held.h"
#include "../../core/system/point.h"
#include "fence.h"
#include "../base/lock.h"
#include "region.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "thread.h"
#include "unresponsive.h"

/* How often the agent tries to take a cache lock before it sleeps: for some microseconds. */
#define LOCK_TRIES 200
/* How long dlclose() waits for threads to answer.  After that the object stays mapped. */
#define UNLOAD_NS 3000000000ull

/*
 * Whether @t has passed @fence or a later one.  The agent releases list_lock when it has waited for
 * long.  Meanwhile another thread may begin a later fence (tri_fence_unload()), and a thread that
 * answers that one has answered both.
 */
static bool has_seen(const struct tri_thread *t, uint32_t fence)
{
	return (int32_t)(tri_read_acquire(&t->fence_seen) - fence) >= 0;
}

/*
 * Send a signal to every thread, and wait for its answer.  False: that took longer than @limit_ns.
 * If @limit_ns is 0 there is no limit.  Called with list_lock, which may be released meanwhile.
 */
static bool fence_by_signal(uint64_t limit_ns)
{
	uint32_t fence = atomic_fetch_add(&tri_g.fence, 1) + 1, answers;
	uint64_t began = tri_now_ns(), now;
	struct tri_unresponsive_wait wait = { 0 };
	struct tri_thread *t, *next;
	int64_t resend_ns;

	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		if (t != tri__tls.thread && tri_blocked(tri_read(&t->blocked)) == TRI_RUNNING &&
		    tri_signal_send(t, false) == -ESRCH)
			tri_thread_remove(t);
	}
again:
	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		for (resend_ns = TRI_RESEND_NS;; resend_ns = tri_resend_longer(resend_ns)) {
			answers = tri_read_acquire(&tri_g.answers);
			/* Going into a blocking region and coming out of it are fences. */
			if (t == tri__tls.thread || has_seen(t, fence) ||
			    tri_blocked(tri_read_acquire(&t->blocked)) != TRI_RUNNING)
				break;
			TRI_POINT("fence.waits");
			tri_futex_wait(&tri_g.answers, answers, resend_ns);
			now = tri_now_ns();
			if (tri_thread_over(t) ||
			    (!has_seen(t, fence) &&
			     tri_signal_send(t, now - began > TRI_AGAIN_NS) == -ESRCH)) {
				tri_thread_remove(t);
				break;
			}
			if (limit_ns && now - began > limit_ns)
				return false;
			if (tri_unresponsive_wait(&wait, t))
				goto again;
		}
	}
	return true;
}

/* A memory barrier in every thread.  With rseq it also restarts sequences.  False: it failed. */
static bool barrier_everywhere(void)
{
	return tri_g.membarrier && !syscall(SYS_membarrier,
					    tri_g.rseq ? MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ :
							 MEMBARRIER_CMD_PRIVATE_EXPEDITED,
					    0, 0);
}

/**
 * Called with list_lock.  One system call is enough with rseq, too: the interrupt that restarts
 * sequences is also a memory barrier, as interrupts drain the store buffer on x86-64 and the kernel
 * adds a barrier.  If the program enters a sandbox, membarrier() may fail although the process
 * registered for it.  From then on signals are the fence.
 */
void tri_fence_all(void)
{
	tri_assert_held(&tri_g.list_lock);
	if (barrier_everywhere())
		return;
	tri_g.membarrier = false;
	fence_by_signal(0);
}

/**
 * Called before an object is unmapped, with the descriptors of the sequences that were inlined into
 * it.  When a thread comes back from a preemption, the kernel reads the descriptor that its rseq_cs
 * points to.  So no rseq_cs may point into the object.  A signal makes the kernel clear rseq_cs,
 * because the thread is not in the sequence: a program does not unmap code that runs.  For a thread
 * in a blocking region the caller clears it.  False: a thread does not answer.
 */
bool tri_fence_unload(void)
{
	struct tri_thread *t, *self = tri__tls.thread;
	bool done;

	/* Not tri_g.rseq: even where that is false, a sequence stores its descriptor first. */
	if (!__rseq_size)
		return true;
	tri_list_lock(self);
	done = fence_by_signal(UNLOAD_NS);
	for (t = tri_g.threads; t; t = t->next) {
		if (t == self) {
			__atomic_store_n(t->rseq_cs, 0, __ATOMIC_RELAXED);
		} else if (t->rseq_cs && tri_region_hold(t)) {
			__atomic_store_n(t->rseq_cs, 0, __ATOMIC_RELAXED);
			tri_region_let_go(t);
		}
	}
	tri_list_unlock(self);
	return done;
}

/*
 * Wait a while for @t to come out of the library.  Mostly it does soon.  If not, it has lost its
 * CPU, perhaps for milliseconds, and is asked to wake the caller.  After the barrier either @t has
 * seen the request, or the caller sees that @t is outside.  Without the barrier @t may miss the
 * request, and also while it answers another one.  So the wait ends after @most_ns in any case.
 */
static void wait_for_way_out(struct tri_thread *t, int tries, int64_t *most_ns)
{
	uint32_t visits = tri_read_acquire(&t->visits), answers, none = 0;

	if (tries < 20 || !(visits & 1)) {
		sched_yield();
		return;
	}
	answers = tri_read_acquire(&tri_g.answers);
	if (atomic_compare_exchange_strong(&t->pending, &none, TRI_PENDING_WAKE))
		barrier_everywhere();
	TRI_POINT("way_out.waits");
	if (tri_read_acquire(&t->visits) == visits)
		tri_futex_wait(&tri_g.answers, answers, *most_ns);
	*most_ns = tri_resend_longer(*most_ns);
}

/**
 * Called after tri_fence_all(), with list_lock, which may be released meanwhile.  Threads that
 * attach meanwhile need not be waited for.
 */
void tri_quiesce(void)
{
	struct tri_unresponsive_wait wait = { 0 };
	struct tri_thread *t;
	int64_t most_ns;
	int tries;

	tri_assert_held(&tri_g.list_lock);
	for (t = tri_g.threads; t; t = t->next) {
		uint32_t visits = tri_read_acquire(&t->visits);

		t->inside_since = visits & 1 ? visits : 0;
	}
again:
	for (t = tri_g.threads; t; t = t->next) {
		most_ns = TRI_RESEND_NS;
		for (tries = 0; t->inside_since && !tri_thread_over(t) &&
		     tri_read_acquire(&t->visits) == t->inside_since; tries++) {
			tri_note_progress();
			TRI_POINT("quiesce.waits");
			wait_for_way_out(t, tries, &most_ns);
			if (tri_unresponsive_wait(&wait, t))
				goto again;
		}
		t->inside_since = 0;
	}
}

/*
 * Try to take @t's cache lock for as long as a few allocations last.  A thread that allocates by
 * the library takes its lock again at once, so an agent that slept until the lock was released
 * would mostly find it taken.
 */
static bool try_cache(struct tri_thread *t)
{
	int tries;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		if (tri_trylock(&t->cache_lock))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

/**
 * Take a thread's cache lock.  False: list_lock was released meanwhile, and the cache lock is not
 * taken.  That happens when the thread was stopped inside the library while it held the lock.
 */
bool tri_cache_lock_for_agent(struct tri_thread *t, struct tri_unresponsive_wait *wait)
{
	int64_t most_ns = TRI_RESEND_NS;
	int tries;

	for (tries = 0; !try_cache(t); tries++) {
		wait_for_way_out(t, tries, &most_ns);
		if (tri_unresponsive_wait(wait, t))
			return false;
	}
	return true;
}
