// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tracer.c - which instruction stores to a word, where perf_event_open(2) is refused: debug
 * registers by ptrace(2)
 *
 * Most containers refuse events, and allow a process to trace another one of its own user.  So the
 * agent starts a process, the tracer (tracer_process.c), that shares its memory and descriptors,
 * and seizes all threads of the program but the agent.  The tracer sets their debug registers.  A
 * store to a watched word stops its thread.  The thread tells the tracer its registers, and goes
 * on. Nobody else sees that: no page is protected, no signal comes to the program, and no system
 * call fails that did not fail before.
 *
 *  1. A thread must be stopped before its registers can be set.  That must not be seen either, so
 *     it is not interrupted by ptrace().  It is sent our signal, as for a handshake.  It stops
 *     with the signal, is armed, and goes on into our handler, which sees to it that system calls
 *     go on (restart.c).
 *  2. A thread in a blocking region is sent no signal.  When it comes out it finds what is watched,
 *     and sends the signal to itself (tri_tracer_region_over()).
 *  3. What is watched has a version.  A *round* gives it the next number, signals all threads, and
 *     waits until each is armed with this version, or is in a region.  A thread stops for a store
 *     before it stops for our signal.  So after a round everything that had been stored before it
 *     is recorded.
 *  4. A thread that one of ours starts is stopped before its first instruction, and armed like the
 *     others.
 *  5. After the last pass each thread is let go when it stops, because only one process may trace
 *     it, and a sanitizer may want to later in exit().  A thread in a region, or that can't be
 *     stopped, stays traced.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/held.h"
#include "../start/init.h"
#include "../base/lock.h"
#include "../threads/region.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tracer.h"

#define ROUND_NS 1000000000ull		/* how long a thread is waited for */
#define AGAIN_NS 20000000ull		/* then it is sent the other signal, too */
#define POLL_NS 1000000ull		/* for what wakes nobody: a region that begins, a tracer
					 * that ends */


/* The agent's own. */
static pid_t tracer;			/* 0: there is none */
static uint64_t rests_until_ns;		/* a thread did not stop, and nothing is tried before */
static bool is_over;			/* there is no tracer, and can't be one */
static char why[160];

/** Why there is no tracer, or why the last round failed. */
const char *tri_tracer_why(void)
{
	return why;
}

static bool fails(const char *what, int err)
{
	snprintf(why, sizeof(why), "%s: %s", what, strerror(err));
	return false;
}

/* Whether there is no tracer any more. */
static bool has_ended(void)
{
	int status;

	if (tracer && waitpid(tracer, &status, __WCLONE | WNOHANG) == tracer) {
		tri_write(&tri_tracer->ended, 1);
		tracer = 0;
		/* It ends by itself when nobody is left to trace.  Whoever kills it forbids it. */
		is_over |= WIFSIGNALED(status);
	}
	return !tracer;
}

/** Have a tracer.  False: there can be none, and tri_tracer_why() says why. */
bool tri_tracer_open(void)
{
	struct tri_tracer *made;
	int err;

	if (is_over)
		return false;
	if (tri_now_ns() < rests_until_ns)
		return fails("ptrace: a thread did not stop", ETIMEDOUT);
	if (tri_tracer && !has_ended())
		return true;
	/* It has ended because nobody was left to trace, or because nobody may be traced. */
	is_over |= tri_tracer && tri_read(&tri_tracer->refused);
	if (is_over)
		return false;
	if (!tri_tracer) {
		err = tri_probe(SYS_ptrace);
		is_over = err;
		if (err)
			return fails("ptrace: a sandbox may kill who calls it", err);
		made = tri_check_map(sizeof(*tri_tracer));
		if (!made)
			return fails("ptrace: memory for the tracer", ENOMEM);
		tri_write(&made->version, 1);
		/* Release: pairs with the acquire in tri_tracer_region_over(). */
		__atomic_store_n(&tri_tracer, made, __ATOMIC_RELEASE);
	}
	tri_write(&tri_tracer->ended, 0);
	tri_write(&tri_tracer->nthreads, 0);
	/* It has no exit signal, so it is no child that the program could wait for. */
	tracer = clone(tri_tracer_run, tri_tracer->stack + TRI_TRACE_STACK_BYTES,
		       CLONE_VM | CLONE_FILES, NULL);
	if (tracer < 0) {
		tracer = 0;
		return fails("ptrace: a process for the tracer", errno);
	}
	/* Yama may allow only ancestors to trace a process, and those that it names. */
	prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
	why[0] = 0;
	return true;
}

/* Wait until the tracer has seized the threads of list @asked, but not for longer than @until. */
static bool await_list(uint32_t asked, uint64_t until)
{
	uint32_t seen;

	/* With 0 in place of its number, kill() would signal our process group. */
	if (has_ended())
		return fails("ptrace", ECHILD);
	kill(tracer, SIGUSR1);
	while (seen = tri_read_acquire(&tri_tracer->progress),
	       tri_read_acquire(&tri_tracer->done) != asked) {
		if (has_ended())
			return fails("ptrace", ECHILD);
		if (tri_now_ns() > until)
			return fails("ptrace: the tracer does not answer", ETIMEDOUT);
		tri_futex_wait(&tri_tracer->progress, seen, (int64_t)POLL_NS);
	}
	return true;
}

/* Called with list_lock held. */
static bool is_armed(const struct tri_thread *t, uint32_t version)
{
	const struct tri_traced *traced = tri_tracer_find(t->tid);

	/* A thread that has ended, or was started by no traced thread, is not found. */
	return !traced || tri_read_acquire(&traced->armed) == version ||
	       tri_blocked(tri_read(&t->blocked)) != TRI_RUNNING;
}

/* Wait until all threads are armed with @version, at most until @until.  With list_lock held. */
static bool await_armed(uint32_t version, uint64_t until)
{
	struct tri_thread *t = tri_g.threads;
	bool again = false;
	uint32_t seen;

	while (t) {
		seen = tri_read_acquire(&tri_tracer->progress);
		if (is_armed(t, version)) {
			t = t->next;
			again = false;
			continue;
		}
		if (has_ended())
			return fails("ptrace", ECHILD);
		if (tri_now_ns() > until) {
			/*
			 * A thread that sleeps in the kernel may do so for long.  At most a tenth
			 * of the time is spent waiting for it.
			 */
			rests_until_ns = until + 9 * ROUND_NS;
			return fails("ptrace: a thread does not stop", ETIMEDOUT);
		}
		/* The thread may have blocked the first signal by a system call of its own. */
		if (!again && tri_now_ns() > until - ROUND_NS + AGAIN_NS) {
			again = true;
			tri_signal_send(t, true);
		}
		tri_futex_wait(&tri_tracer->progress, seen, (int64_t)POLL_NS);
	}
	return true;
}

/*
 * Make a round.  After it, everything is recorded that was stored to watched words before it, and
 * all threads have the debug registers that are wanted now.  Called with list_lock held.
 */
static bool make_round(void)
{
	uint64_t until = tri_now_ns() + ROUND_NS;
	uint32_t asked = tri_read(&tri_tracer->asked) + 1, version;
	struct tri_thread *t;

	tri_assert_held(&tri_g.list_lock);
	if (tri_now_ns() < rests_until_ns)
		return fails("ptrace: a thread did not stop", ETIMEDOUT);
	tri_write(&tri_tracer->refused, 0);
	tri_tracer->stale = false;
	tri_tracer->nlist = 0;
	for (t = tri_g.threads; t && tri_tracer->nlist < TRI_TRACE_THREADS; t = t->next)
		tri_tracer->list[tri_tracer->nlist++] = t->tid;
	if (t)
		return fails("ptrace: the tracer is for no more than 512 threads", E2BIG);
	tri_write_release(&tri_tracer->asked, asked);
	if (!await_list(asked, until))
		return false;
	if (tri_read(&tri_tracer->refused))
		return fails("ptrace", (int)tri_read(&tri_tracer->refused));
	version = tri_read(&tri_tracer->version) + 1;
	tri_write(&tri_tracer->version, version);
	/*
	 * Either we see that a thread is outside of its region, or it sees the version when it
	 * comes out.  Pairs with the barrier by which a thread leaves its region: see
	 * tri_tracer_region_over().
	 */
	atomic_thread_fence(memory_order_seq_cst);
	for (t = tri_g.threads; t; t = t->next)
		tri_signal_send(t, false);
	return await_armed(version, until) && (!tri_read(&tri_tracer->refused) ||
					       fails("ptrace", (int)tri_read(&tri_tracer->refused)));
}

/**
 * The calling thread has come out of a blocking region: have it armed, unless it can't be
 * interrupted.  Called outside.
 */
void tri_tracer_region_over(struct tri_thread *t)
{
	const struct tri_traced *traced;
	uint32_t version;

	if (!__atomic_load_n(&tri_tracer, __ATOMIC_ACQUIRE))
		return;
	/* The thread has left its region by a full barrier: pairs with the one in make_round(). */
	version = tri_read(&tri_tracer->version);
	traced = tri_tracer_find(t->tid);
	if (!traced || tri_read_acquire(&traced->armed) == version)
		return;
	if (!t->depth)
		tri_signal_self(t);
	if (tri_read_acquire(&traced->armed) < version)
		atomic_fetch_add(&tri_tracer->escapes, 1);
}

/** Have the word of @w watched from tri_tracer_start() on.  False: there are too many words. */
bool tri_tracer_begin(struct tri_watch *w, pid_t only)
{
	struct tri_trace *t;
	unsigned int i = 0;

	while (i < TRI_WATCHED && tri_read(&tri_tracer->trace[i].state) != TRI_TRACE_UNUSED)
		i++;
	if (i == TRI_WATCHED)
		return false;
	w->trace = i + 1;
	t = &tri_tracer->trace[i];
	t->at = w->at;
	t->only = only;
	t->escapes = tri_read(&tri_tracer->escapes);
	t->n = 0;
	t->full = t->several = t->after_differs = false;
	tri_write(&t->read_ns, 0);
	tri_write(&t->number, tri_read(&t->number) + 1);
	/* Release: pairs with the acquire in arm() of tracer_process.c. */
	tri_write_release(&t->state, TRI_TRACE_WATCHES);
	return true;
}

/**
 * Watch the words that were begun, and no others.  Called with list_lock held.  False: this failed,
 * and tri_tracer_why() says why.
 */
bool tri_tracer_start(void)
{
	return make_round();
}

/** Whether a round is due although nothing was begun: see tri_tracer.stale. */
bool tri_tracer_is_stale(void)
{
	return tri_tracer && tri_tracer->stale && !has_ended() && tri_now_ns() >= rests_until_ns;
}

/**
 * Read the word, and stop watching it.  Takes list_lock.  False: not all stores to it are known.
 */
bool tri_tracer_read(struct tri_watch *w)
{
	struct tri_trace *t = &tri_tracer->trace[w->trace - 1];
	bool fine;

	tri_write(&t->read_ns, tri_now_ns());
	atomic_thread_fence(memory_order_seq_cst);
	w->is_readable = tri_read_foreign(&w->now, w->at, sizeof(w->now));
	tri_write(&t->state, TRI_TRACE_READ);
	pthread_mutex_lock(&tri_g.list_lock);
	fine = make_round();
	pthread_mutex_unlock(&tri_g.list_lock);
	return fine && tri_read(&tri_tracer->escapes) == t->escapes && !t->full;
}

/** As tri_watch_first(). */
bool tri_tracer_first(const struct tri_watch *w, struct tri_hit *hit)
{
	const struct tri_trace *t = &tri_tracer->trace[w->trace - 1];

	/* Of two threads the one that stored first may have been recorded last. */
	if (!t->n || (t->n > 1 && t->several) || t->first.time_ns <= w->since_ns)
		return false;
	*hit = t->first;
	return true;
}

/** As tri_watch_last(). */
bool tri_tracer_last(const struct tri_watch *w, struct tri_hit *hit)
{
	const struct tri_trace *t = &tri_tracer->trace[w->trace - 1];
	const struct tri_hit *found = NULL;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		/* The last pass has seen what was stored before it. */
		if (t->last[i].time_ns <= w->since_ns)
			continue;
		if (found && t->last[i].ip != found->ip)
			return false;
		found = &t->last[i];
	}
	if (!found || t->after_differs)
		return false;
	*hit = *found;
	return true;
}

/** As tri_watch_is_nobody(). */
bool tri_tracer_is_nobody(const struct tri_watch *w)
{
	return !tri_tracer->trace[w->trace - 1].n;
}

/** Stop watching.  Debug registers may still have the word until the next round. */
void tri_tracer_end(struct tri_watch *w)
{
	tri_tracer->stale |= tri_read(&tri_tracer->trace[w->trace - 1].state) == TRI_TRACE_WATCHES;
	tri_write_release(&tri_tracer->trace[w->trace - 1].state, TRI_TRACE_UNUSED);
	w->trace = 0;
}

/** Let all threads go but those in regions, after the last pass.  Takes list_lock. */
void tri_tracer_let_go(void)
{
	if (!tri_tracer || has_ended())
		return;
	tri_write_release(&tri_tracer->lets_go, 1);
	pthread_mutex_lock(&tri_g.list_lock);
	make_round();
	pthread_mutex_unlock(&tri_g.list_lock);
}

/** In the child of a fork(): the tracer is the parent's. */
void tri_tracer_forked(void)
{
	tri_tracer = NULL;
	tracer = 0;
}
