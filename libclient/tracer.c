// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tracer.c - which instruction stores to a word, where perf_event_open(2) is refused: debug
 * registers by ptrace(2)
 *
 * Containers refuse events mostly, and allow a process to trace one of its own user.  So the agent
 * starts a process that shares our memory, and nothing else, and seizes our threads, but for the
 * agent.  It sets their debug registers; a store to a watched word stops its thread, which tells
 * the tracer its registers, and goes on.  Nobody else sees that: no page is protected, no signal
 * comes to the program, no system call fails that did not.
 *
 *  1. A thread must be stopped to have its registers set.  That it is interrupted may not be seen
 *     either, so that it is not ptrace() that does: it is sent our signal, as for a handshake,
 *     stops with it, goes on into our handler, and that sees to it that system calls go on
 *     (restart.c).
 *  2. A thread in a blocking region is sent none.  It finds what is watched when it comes out, and
 *     sends the signal to itself (tri_tracer_region_over()).
 *  3. What is watched has a version.  A round gives it the next number, signals all, and waits
 *     until each thread is armed with it, or is in a region.  A thread stops for a store before it
 *     stops for our signal: after a round all that had been stored before it is recorded.
 *  4. A thread that one of ours starts is stopped before its first instruction, and armed like the
 *     others.
 *
 *  5. After the last pass each thread is let go when it stops, as one process only may trace it:
 *     what comes later in exit() may be a sanitizer that does.  One in a region, or that can't be
 *     stopped, stays traced.
 *
 * The tracer runs on our memory beside us, with the agent's thread pointer: it uses bare system
 * calls only.  It ends when there is nobody left to trace, and the kernel ends it when the agent
 * has ended.  From then on no thread has a program that watched words would matter to.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "bare.h"
#include "checker.h"
#include "init.h"
#include "lock.h"
#include "region.h"
#include "scan.h"
#include "signals.h"
#include "state.h"
#include "thread.h"

#define STACK_BYTES 65536u
#define THREADS 512u
#define HITTERS 16u			/* threads that store to one word, from one pass to the
					 * next */
#define REGISTERS 4u			/* debug registers */
#define ROUND_NS 1000000000ull		/* so long is waited for a thread to stop */
#define AGAIN_NS 20000000ull		/* then it is sent the other signal, too */
#define POLL_NS 1000000ull		/* for what does not tell: a region that begins, a tracer
					 * that ends */

#define STOP_EVENT(status) ((unsigned int)(status) >> 16)
#define DR(n) ((long)offsetof(struct user, u_debugreg[n]))
/* DR7: enabled for this thread, a write, of 8 bytes. */
#define ENABLE(n) (1ul << (2 * (n)) | 0xdul << (16 + 4 * (n)))

#define BARE __attribute__((no_sanitize("address", "undefined", "thread"), no_stack_protector))

enum { UNUSED_TRACE, WATCHES, WATCHED_UNTIL_NOW };

/*
 * A word that is watched.  Up to @escapes the agent's; the rest the tracer's, and the agent's after
 * a round.
 */
struct trace {
	tri_au32 state;
	tri_au32 number;		/* of its use */
	tri_au64 read_ns;
	uintptr_t at;
	pid_t only;			/* the thread that is watched; 0: all */
	uint32_t escapes;		/* as of when it began */
	uint32_t n;
	bool full;			/* there were more threads than @last has room for */
	bool several;			/* instructions; before the look or after it */
	bool after_differs;		/* of one thread, after the look */
	struct tri_hit first;
	struct tri_hit last[HITTERS];	/* of each thread */
};

/* A thread that is traced.  The tracer's; read by any thread. */
struct traced {
	tri_au32 tid;			/* 0: none */
	tri_au32 armed;			/* version */
	uint32_t trace[REGISTERS], number[REGISTERS];	/* + 1; what its debug registers are for */
};

static struct all {
	tri_au32 version;		/* agent */
	tri_au32 asked, done;		/* lists of threads to seize; agent, tracer */
	tri_au32 progress;		/* futex: a thread is armed, or gone */
	tri_au32 refused;		/* errno: a thread can't be seized, or armed */
	tri_au32 escapes;		/* threads that came out of a region and were not armed;
					 * any thread */
	tri_au32 nthreads;		/* of thread[], that have been used */
	tri_au32 lets_go;		/* agent: nobody is to be traced any more */
	tri_au32 ended;			/* the tracer has */
	bool stale;			/* agent: what is not watched any more is in debug
					 * registers */
	uint32_t nlist;
	pid_t list[THREADS];
	struct traced thread[THREADS];
	struct trace trace[TRI_WATCHED];
	struct tri_hit hit;		/* the tracer's */
	_Alignas(16) char stack[STACK_BYTES];
} *all;

static pid_t tracer;			/* agent; 0: there is none */
static uint64_t rests_until_ns;		/* agent: a thread did not stop */
static bool is_over;			/* agent: there is no tracer, and can't be one */
static char why[160];

/* ------------------------------------------------------------------------------------------ */
/* The tracer                                                                                 */
/* ------------------------------------------------------------------------------------------ */

BARE static long trace_call(long request, pid_t tid, long a, long b)
{
	return tri_bare(SYS_ptrace, request, tid, a, b);
}

BARE static void tell(void)
{
	atomic_fetch_add(&all->progress, 1);
	tri_bare(SYS_futex, (long)&all->progress, FUTEX_WAKE, INT_MAX, 0);
}

BARE static struct traced *find(pid_t tid)
{
	uint32_t i, n = tri_read_acquire(&all->nthreads);

	for (i = 0; i < n; i++)
		if (tri_read(&all->thread[i].tid) == (uint32_t)tid)
			return &all->thread[i];
	return NULL;
}

BARE static struct traced *add(pid_t tid)
{
	uint32_t i, k, n = tri_read(&all->nthreads);
	struct traced *t;

	for (i = 0; i < n && tri_read(&all->thread[i].tid); i++)
		;
	if (i == THREADS)
		return NULL;
	t = &all->thread[i];
	tri_write(&t->armed, 0);
	for (k = 0; k < REGISTERS; k++)
		t->trace[k] = 0;
	tri_write_release(&t->tid, (uint32_t)tid);
	if (i == n)
		tri_write_release(&all->nthreads, n + 1);
	return t;
}

BARE static void arm(struct traced *t)
{
	uint32_t version = tri_read_acquire(&all->version), tid = tri_read(&t->tid);
	unsigned long enabled = 0;
	unsigned int i, n = 0;
	long err;

	if (tri_read(&t->armed) == version)
		return;
	err = trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(7), 0);
	for (i = 0; i < TRI_WATCHED; i++) {
		struct trace *w = &all->trace[i];

		/* Acquire: pairs with the release in tri_tracer_begin(). */
		if (tri_read_acquire(&w->state) != WATCHES || (w->only && w->only != (pid_t)tid))
			continue;
		if (n == REGISTERS) {
			err = -ENOSPC;
			break;
		}
		err = err ? err : trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(n), (long)w->at);
		t->trace[n] = i + 1;
		t->number[n] = tri_read(&w->number);
		enabled |= ENABLE(n);
		n++;
	}
	while (n < REGISTERS)
		t->trace[n++] = 0;
	if (!err && enabled)
		err = trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(7), (long)enabled);
	/* It was killed while it was stopped. */
	if (err && err != -ESRCH)
		tri_write(&all->refused, (uint32_t)-err);
	tri_write_release(&t->armed, version);
	tell();
}

BARE static void record(struct trace *w, const struct tri_hit *hit)
{
	uint64_t read_ns = tri_read(&w->read_ns);
	uint32_t i;

	if (!w->n)
		w->first = *hit;
	else if (w->first.ip != hit->ip)
		w->several = true;
	for (i = 0; i < w->n && w->last[i].tid != hit->tid; i++)
		;
	if (i == HITTERS) {
		w->full = true;
		return;
	}
	if (i == w->n)
		w->n++;
	/* What it had stored before may be what is seen. */
	else if (read_ns && w->last[i].ip != hit->ip)
		w->after_differs = true;
	w->last[i] = *hit;
}

BARE static void read_stack(struct tri_hit *hit)
{
	struct iovec to = { hit->stack, TRI_HIT_STACK };
	struct iovec from = { (void *)(uintptr_t)hit->registers[TRI_HIT_SP], TRI_HIT_STACK };
	long n = tri_bare6(SYS_process_vm_readv, tri_g.pid, (long)&to, 1, (long)&from, 1, 0);

	/* It ends before that: up to the end of its page. */
	if (n < 0) {
		from.iov_len = 4096 - (hit->registers[TRI_HIT_SP] & 4095);
		if (from.iov_len < TRI_HIT_STACK)
			n = tri_bare6(SYS_process_vm_readv, tri_g.pid, (long)&to, 1, (long)&from, 1,
				      0);
	}
	hit->stack_bytes = n > 0 ? (uint32_t)n : 0;
}

/* Whether @t stopped for one of its debug registers; then it is recorded. */
BARE static bool take_hit(struct traced *t)
{
	pid_t tid = (pid_t)tri_read(&t->tid);
	struct user_regs_struct regs;
	struct tri_hit *hit = &all->hit;
	unsigned long which = 0;
	siginfo_t info;
	unsigned int i;

	if (trace_call(PTRACE_GETSIGINFO, tid, 0, (long)&info) || info.si_code != TRAP_HWBKPT ||
	    trace_call(PTRACE_PEEKUSER, tid, DR(6), (long)&which) || !(which & 0xf) ||
	    trace_call(PTRACE_GETREGS, tid, 0, (long)&regs))
		return false;
	trace_call(PTRACE_POKEUSER, tid, DR(6), 0);
	hit->time_ns = tri_now_ns();
	hit->ip = hit->registers[TRI_HIT_IP] = regs.rip;
	hit->tid = (uint32_t)tid;
	hit->registers[TRI_HIT_SP] = regs.rsp;
	hit->registers[TRI_HIT_BP] = regs.rbp;
	hit->registers[TRI_HIT_BX] = regs.rbx;
	hit->registers[TRI_HIT_R12] = regs.r12;
	hit->registers[TRI_HIT_R13] = regs.r13;
	hit->registers[TRI_HIT_R14] = regs.r14;
	hit->registers[TRI_HIT_R15] = regs.r15;
	read_stack(hit);
	for (i = 0; i < REGISTERS; i++) {
		struct trace *w = t->trace[i] ? &all->trace[t->trace[i] - 1] : NULL;

		/* One that is over is that of a thread that stores in a region. */
		if (w && which >> i & 1 && tri_read_acquire(&w->state) != UNUSED_TRACE &&
		    tri_read(&w->number) == t->number[i])
			record(w, hit);
	}
	return true;
}

BARE static bool is_of_ours(pid_t tid)
{
	return tri_bare(SYS_tgkill, tri_g.pid, tid, 0, 0) != -ESRCH;
}

BARE static void stopped(pid_t tid, int status)
{
	unsigned int sig = (unsigned int)status >> 8 & 0xff, event = STOP_EVENT(status);
	struct traced *t = find(tid);

	if (!t)
		t = is_of_ours(tid) ? add(tid) : NULL;
	if (!t) {
		/* A process that one of ours has made by clone(), or one too many. */
		if (is_of_ours(tid))
			atomic_fetch_add(&all->escapes, 1);
		trace_call(PTRACE_DETACH, tid, 0, event ? 0 : sig);
		return;
	}
	if (!event && sig == SIGTRAP && take_hit(t))
		sig = 0;
	arm(t);
	if (tri_read_acquire(&all->lets_go)) {
		trace_call(PTRACE_DETACH, tid, 0, event ? 0 : sig);
		tri_write_release(&t->tid, 0);
		tell();
		return;
	}
	/* All of the process are stopped, as by Ctrl-Z; it is told when they go on. */
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		trace_call(PTRACE_LISTEN, tid, 0, 0);
		return;
	}
	trace_call(PTRACE_CONT, tid, 0, event ? 0 : sig);
}

BARE static void seize_listed(void)
{
	long options = PTRACE_O_TRACECLONE, err;
	uint32_t i;

	for (i = 0; i < all->nlist && !tri_read(&all->lets_go); i++) {
		if (find(all->list[i]))
			continue;
		err = trace_call(PTRACE_SEIZE, all->list[i], 0, options);
		/* Of a thread that ends it is EPERM too. */
		if (err == -ESRCH || (err && !is_of_ours(all->list[i])))
			continue;
		if (err || !add(all->list[i]))
			tri_write(&all->refused, err ? (uint32_t)-err : E2BIG);
	}
}

/* False: nobody is there that could be waited for. */
BARE static bool take_stops(void)
{
	struct traced *t;
	int status;
	long tid;

	while ((tid = tri_bare(SYS_wait4, -1, (long)&status, WNOHANG | __WALL, 0)) > 0) {
		if (WIFSTOPPED(status)) {
			stopped((pid_t)tid, status);
			continue;
		}
		t = find((pid_t)tid);
		if (t)
			tri_write_release(&t->tid, 0);
		tell();
	}
	return tid != -ECHILD;
}

BARE static int trace(void *unused)
{
	/* The kernel's struct sigaction: handler, flags, restorer, mask. */
	static const uint64_t dfl[4];
	static const struct timespec wait = { 0, 10000000 };
	uint64_t set = ~0ull;
	bool has_traced = false;
	uint32_t asked;

	(void)unused;
	tri_bare(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, 0, 8);
	/* Ignored, it would not come. */
	tri_bare(SYS_rt_sigaction, SIGCHLD, (long)dfl, 0, 8);
	tri_bare(SYS_prctl, PR_SET_NAME, (long)"tricolor-tracer", 0, 0);
	tri_bare(SYS_chdir, (long)"/", 0, 0, 0);
	tri_bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	if (tri_bare(SYS_getppid, 0, 0, 0, 0) != tri_g.pid)
		goto end;
	set = 1ull << (SIGCHLD - 1) | 1ull << (SIGUSR1 - 1);
	for (;;) {
		asked = tri_read_acquire(&all->asked);
		if (asked != tri_read(&all->done)) {
			seize_listed();
			has_traced = true;
			tri_write_release(&all->done, asked);
			tell();
		}
		if (!take_stops() && has_traced)
			break;
		tri_bare(SYS_rt_sigtimedwait, (long)&set, 0, (long)&wait, 8);
	}
end:
	tri_write_release(&all->ended, 1);
	tell();
	tri_bare(SYS_exit_group, 0, 0, 0, 0);
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The agent                                                                                  */
/* ------------------------------------------------------------------------------------------ */

const char *tri_tracer_why(void)
{
	return why;
}

static bool fails(const char *what, int err)
{
	snprintf(why, sizeof(why), "%s: %s", what, strerror(err));
	return false;
}

static bool has_ended(void)
{
	int status;

	if (tracer && waitpid(tracer, &status, __WCLONE | WNOHANG) == tracer) {
		tri_write(&all->ended, 1);
		tracer = 0;
		/* It ends by itself if nobody is there to be traced. */
		is_over |= WIFSIGNALED(status);
	}
	return !tracer;
}

/** Whether there is a tracer, or can be one: tri_tracer_why(). */
bool tri_tracer_open(void)
{
	struct all *made;

	int err;

	if (is_over)
		return false;
	if (tri_now_ns() < rests_until_ns)
		return fails("ptrace: a thread did not stop", ETIMEDOUT);
	if (all && !has_ended())
		return true;
	/* Nobody was there to be traced, or nobody may be. */
	is_over |= all && tri_read(&all->refused);
	if (is_over)
		return false;
	if (!all) {
		err = tri_probe(SYS_ptrace);
		is_over = err;
		if (err)
			return fails("ptrace: a sandbox may kill who calls it", err);
		made = tri_check_map(sizeof(*all));
		if (!made)
			return fails("ptrace: memory for the tracer", ENOMEM);
		tri_write(&made->version, 1);
		/* Release: pairs with who comes out of a region. */
		__atomic_store_n(&all, made, __ATOMIC_RELEASE);
	}
	tri_write(&all->ended, 0);
	tri_write(&all->nthreads, 0);
	/* Without an exit signal: no child that the program could wait for. */
	tracer = clone(trace, all->stack + STACK_BYTES, CLONE_VM | CLONE_FILES, NULL);
	if (tracer < 0) {
		tracer = 0;
		return fails("ptrace: a process for the tracer", errno);
	}
	/* Where Yama lets a process be traced by those that it is a child of, only. */
	prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
	why[0] = 0;
	return true;
}

/* The tracer has done what was asked; or @ns have passed. */
static bool await_list(uint32_t asked, uint64_t until)
{
	uint32_t seen;

	/* 0 would be our process group. */
	if (has_ended())
		return fails("ptrace", ECHILD);
	kill(tracer, SIGUSR1);
	while (seen = tri_read_acquire(&all->progress), tri_read_acquire(&all->done) != asked) {
		if (has_ended())
			return fails("ptrace", ECHILD);
		if (tri_now_ns() > until)
			return fails("ptrace: the tracer does not answer", ETIMEDOUT);
		tri_futex_wait(&all->progress, seen, (int64_t)POLL_NS);
	}
	return true;
}

/* list_lock */
static bool is_armed(const struct tri_thread *t, uint32_t version)
{
	const struct traced *traced = find(t->tid);

	/* One that has ended, or was started by nobody of ours, is not there. */
	return !traced || tri_read_acquire(&traced->armed) == version ||
	       tri_blocked(tri_read(&t->blocked)) != TRI_RUNNING;
}

/* list_lock */
static bool await_armed(uint32_t version, uint64_t until)
{
	struct tri_thread *t = tri_g.threads;
	bool again = false;
	uint32_t seen;

	while (t) {
		seen = tri_read_acquire(&all->progress);
		if (is_armed(t, version)) {
			t = t->next;
			again = false;
			continue;
		}
		if (has_ended())
			return fails("ptrace", ECHILD);
		if (tri_now_ns() > until) {
			/*
			 * One that sleeps in the kernel may do so for long: a tenth of the time is
			 * waited at most.
			 */
			rests_until_ns = until + 9 * ROUND_NS;
			return fails("ptrace: a thread does not stop", ETIMEDOUT);
		}
		/* It may have blocked the first signal by a system call of its own. */
		if (!again && tri_now_ns() > until - ROUND_NS + AGAIN_NS) {
			again = true;
			tri_signal_send(t, true);
		}
		tri_futex_wait(&all->progress, seen, (int64_t)POLL_NS);
	}
	return true;
}

/*
 * All that was stored to watched words before is recorded, and who stores from here on does so with
 * the debug registers that are to be set now.  list_lock.
 */
static bool make_round(void)
{
	uint64_t until = tri_now_ns() + ROUND_NS;
	uint32_t asked = tri_read(&all->asked) + 1, version;
	struct tri_thread *t;

	if (tri_now_ns() < rests_until_ns)
		return fails("ptrace: a thread did not stop", ETIMEDOUT);
	tri_write(&all->refused, 0);
	all->stale = false;
	all->nlist = 0;
	for (t = tri_g.threads; t && all->nlist < THREADS; t = t->next)
		all->list[all->nlist++] = t->tid;
	if (t)
		return fails("ptrace: the tracer is for no more than 512 threads", E2BIG);
	tri_write_release(&all->asked, asked);
	if (!await_list(asked, until))
		return false;
	if (tri_read(&all->refused))
		return fails("ptrace", (int)tri_read(&all->refused));
	version = tri_read(&all->version) + 1;
	tri_write(&all->version, version);
	/*
	 * Either we see that a thread is outside of its region, or it sees the version when it
	 * comes out.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	for (t = tri_g.threads; t; t = t->next)
		tri_signal_send(t, false);
	return await_armed(version, until) && (!tri_read(&all->refused) ||
					       fails("ptrace", (int)tri_read(&all->refused)));
}

/**
 * Any thread, outside, as it comes out of a region: it is armed now, unless it can't be
 * interrupted.
 */
void tri_tracer_region_over(struct tri_thread *t)
{
	const struct traced *traced;
	uint32_t version;

	if (!__atomic_load_n(&all, __ATOMIC_ACQUIRE))
		return;
	/* The thread has left its region by a full barrier: pairs with the one in make_round(). */
	version = tri_read(&all->version);
	traced = find(t->tid);
	if (!traced || tri_read_acquire(&traced->armed) == version)
		return;
	if (!t->depth)
		tri_signal_self(t);
	if (tri_read_acquire(&traced->armed) < version)
		atomic_fetch_add(&all->escapes, 1);
}

/** A word is to be watched, from tri_tracer_start() on.  False: there are too many. */
bool tri_tracer_begin(struct tri_watch *w, pid_t only)
{
	unsigned int i;

	for (i = 0; i < TRI_WATCHED && tri_read(&all->trace[i].state) != UNUSED_TRACE; i++)
		;
	if (i == TRI_WATCHED)
		return false;
	w->trace = i + 1;
	all->trace[i].at = w->at;
	all->trace[i].only = only;
	all->trace[i].escapes = tri_read(&all->escapes);
	all->trace[i].n = 0;
	all->trace[i].full = all->trace[i].several = all->trace[i].after_differs = false;
	tri_write(&all->trace[i].read_ns, 0);
	tri_write(&all->trace[i].number, tri_read(&all->trace[i].number) + 1);
	tri_write_release(&all->trace[i].state, WATCHES);
	return true;
}

/** Words that were begun are watched, and others are not.  list_lock.  False: that can't be had. */
bool tri_tracer_start(void)
{
	return make_round();
}

/** Whether a round is due, even if nothing was begun. */
bool tri_tracer_is_stale(void)
{
	return all && all->stale && !has_ended() && tri_now_ns() >= rests_until_ns;
}

/**
 * Look at the word, and do not watch it any more.  list_lock is taken.  False: not all who may have
 * stored to it are known.
 */
bool tri_tracer_read(struct tri_watch *w)
{
	struct trace *t = &all->trace[w->trace - 1];
	bool fine;

	tri_write(&t->read_ns, tri_now_ns());
	atomic_thread_fence(memory_order_seq_cst);
	w->is_readable = tri_read_foreign(&w->now, w->at, sizeof(w->now));
	tri_write(&t->state, WATCHED_UNTIL_NOW);
	pthread_mutex_lock(&tri_g.list_lock);
	fine = make_round();
	pthread_mutex_unlock(&tri_g.list_lock);
	return fine && tri_read(&all->escapes) == t->escapes && !t->full;
}

/** As tri_watch_first(). */
bool tri_tracer_first(const struct tri_watch *w, struct tri_hit *hit)
{
	const struct trace *t = &all->trace[w->trace - 1];

	/* Of two threads the one that stored first may have been recorded last. */
	if (!t->n || (t->n > 1 && t->several) || t->first.time_ns <= w->since_ns)
		return false;
	*hit = t->first;
	return true;
}

/** As tri_watch_last(). */
bool tri_tracer_last(const struct tri_watch *w, struct tri_hit *hit)
{
	const struct trace *t = &all->trace[w->trace - 1];
	const struct tri_hit *found = NULL;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		/* What was stored by then the last pass has seen. */
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
	return !all->trace[w->trace - 1].n;
}

/** Until the next round it may be in debug registers still. */
void tri_tracer_end(struct tri_watch *w)
{
	all->stale |= tri_read(&all->trace[w->trace - 1].state) == WATCHES;
	tri_write_release(&all->trace[w->trace - 1].state, UNUSED_TRACE);
	w->trace = 0;
}

/** After the last pass: nobody is traced any more, but who is in a region.  list_lock is taken. */
void tri_tracer_let_go(void)
{
	if (!all || has_ended())
		return;
	tri_write_release(&all->lets_go, 1);
	pthread_mutex_lock(&tri_g.list_lock);
	make_round();
	pthread_mutex_unlock(&tri_g.list_lock);
}

/** A child of fork(): the tracer is not its. */
void tri_tracer_forked(void)
{
	all = NULL;
	tracer = 0;
}
