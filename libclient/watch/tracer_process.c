// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tracer_process.c - the tracer: it sets the debug registers of threads, and records their stores
 *
 * It runs on our memory beside us, with the agent's thread pointer.  So it uses bare system calls
 * only, and no function that a sanitizer or the stack protector has added something to.  It ends
 * when nobody is left to trace, and the kernel ends it when the agent has ended.  From then on no
 * thread has a program that watched words would matter to.
 *
 * tracer.c says why it is there, and what it does when.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../../core/system/futex.h"
#include "../base/bare.h"
#include "../base/lock.h"
#include "../base/state.h"
#include "tracer.h"

#define STOP_EVENT(status) ((unsigned int)(status) >> 16)
#define DR(n) ((long)offsetof(struct user, u_debugreg[n]))
/* In DR7, register @n: enabled for this thread, for a write, of 8 bytes. */
#define ENABLE(n) (1ul << (2 * (n)) | 0xdul << (16 + 4 * (n)))

#define BARE __attribute__((no_sanitize("address", "undefined", "thread"), no_stack_protector))

struct tri_tracer *tri_tracer;		/* made by the agent, once in a process */

BARE static long trace_call(long request, pid_t tid, long a, long b)
{
	return tri_bare(SYS_ptrace, request, tid, a, b);
}

/* Wake the agent. */
BARE static void wake(void)
{
	atomic_fetch_add(&tri_tracer->progress, 1);
	tri_bare(SYS_futex, (long)&tri_tracer->progress, FUTEX_WAKE, INT_MAX, 0);
}

/** The record of thread @tid, or NULL.  Called by the tracer, and by any thread. */
BARE struct tri_traced *tri_tracer_find(pid_t tid)
{
	uint32_t i, n = tri_read_acquire(&tri_tracer->nthreads);

	for (i = 0; i < n; i++)
		if (tri_read(&tri_tracer->thread[i].tid) == (uint32_t)tid)
			return &tri_tracer->thread[i];
	return NULL;
}

BARE static struct tri_traced *add(pid_t tid)
{
	uint32_t i, k, n = tri_read(&tri_tracer->nthreads);
	struct tri_traced *t;

	for (i = 0; i < n && tri_read(&tri_tracer->thread[i].tid); i++)
		;
	if (i == TRI_TRACE_THREADS)
		return NULL;
	t = &tri_tracer->thread[i];
	tri_write(&t->armed, 0);
	for (k = 0; k < TRI_TRACE_REGISTERS; k++)
		t->trace[k] = 0;
	tri_write_release(&t->tid, (uint32_t)tid);
	if (i == n)
		tri_write_release(&tri_tracer->nthreads, n + 1);
	return t;
}

/* Set the debug registers of @t, which is stopped, to what is watched now. */
BARE static void arm(struct tri_traced *t)
{
	uint32_t version = tri_read_acquire(&tri_tracer->version), tid = tri_read(&t->tid);
	unsigned long enabled = 0;
	unsigned int i, n = 0;
	long err;

	if (tri_read(&t->armed) == version)
		return;
	err = trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(7), 0);
	for (i = 0; i < TRI_WATCHED; i++) {
		struct tri_trace *w = &tri_tracer->trace[i];

		/* Acquire: pairs with the release in tri_tracer_begin(). */
		if (tri_read_acquire(&w->state) != TRI_TRACE_WATCHES ||
		    (w->only && w->only != (pid_t)tid))
			continue;
		if (n == TRI_TRACE_REGISTERS) {
			err = -ENOSPC;
			break;
		}
		err = err ? err : trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(n), (long)w->at);
		t->trace[n] = i + 1;
		t->number[n] = tri_read(&w->number);
		enabled |= ENABLE(n);
		n++;
	}
	while (n < TRI_TRACE_REGISTERS)
		t->trace[n++] = 0;
	if (!err && enabled)
		err = trace_call(PTRACE_POKEUSER, (pid_t)tid, DR(7), (long)enabled);
	/* ESRCH: it was killed while it was stopped. */
	if (err && err != -ESRCH)
		tri_write(&tri_tracer->refused, (uint32_t)-err);
	tri_write_release(&t->armed, version);
	wake();
}

BARE static void record(struct tri_trace *w, const struct tri_hit *hit)
{
	uint64_t read_ns = tri_read(&w->read_ns);
	uint32_t i;

	if (!w->n)
		w->first = *hit;
	else if (w->first.ip != hit->ip)
		w->several = true;
	for (i = 0; i < w->n && w->last[i].tid != hit->tid; i++)
		;
	if (i == TRI_TRACE_HITTERS) {
		w->full = true;
		return;
	}
	if (i == w->n)
		w->n++;
	/* What the agent has read may have been stored by the instruction before. */
	else if (read_ns && w->last[i].ip != hit->ip)
		w->after_differs = true;
	w->last[i] = *hit;
}

BARE static void read_stack(struct tri_hit *hit)
{
	struct iovec to = { hit->stack, TRI_HIT_STACK };
	struct iovec from = { (void *)(uintptr_t)hit->registers[TRI_HIT_SP], TRI_HIT_STACK };
	long n = tri_bare6(SYS_process_vm_readv, tri_g.pid, (long)&to, 1, (long)&from, 1, 0);

	/* Where the stack ends before that, as much as is in its last page. */
	if (n < 0) {
		from.iov_len = 4096 - (hit->registers[TRI_HIT_SP] & 4095);
		if (from.iov_len < TRI_HIT_STACK)
			n = tri_bare6(SYS_process_vm_readv, tri_g.pid, (long)&to, 1, (long)&from, 1,
				      0);
	}
	hit->stack_bytes = n > 0 ? (uint32_t)n : 0;
}

/* Whether @t stopped for one of its debug registers.  If so, the store is recorded. */
BARE static bool take_hit(struct tri_traced *t)
{
	pid_t tid = (pid_t)tri_read(&t->tid);
	struct user_regs_struct regs;
	struct tri_hit *hit = &tri_tracer->hit;
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
	for (i = 0; i < TRI_TRACE_REGISTERS; i++) {
		struct tri_trace *w = t->trace[i] ? &tri_tracer->trace[t->trace[i] - 1] : NULL;

		/*
		 * A thread that is in a region may still have registers for a watch that is over.
		 */
		if (w && which >> i & 1 && tri_read_acquire(&w->state) != TRI_TRACE_UNUSED &&
		    tri_read(&w->number) == t->number[i])
			record(w, hit);
	}
	return true;
}

/* Whether @tid is a thread of this process. */
BARE static bool is_of_ours(pid_t tid)
{
	return tri_bare(SYS_tgkill, tri_g.pid, tid, 0, 0) != -ESRCH;
}

BARE static void stopped(pid_t tid, int status)
{
	unsigned int sig = (unsigned int)status >> 8 & 0xff, event = STOP_EVENT(status);
	struct tri_traced *t = tri_tracer_find(tid);

	if (!t)
		t = is_of_ours(tid) ? add(tid) : NULL;
	if (!t) {
		/* It is a process that a thread has made by clone(), or one thread too many. */
		if (is_of_ours(tid))
			atomic_fetch_add(&tri_tracer->escapes, 1);
		trace_call(PTRACE_DETACH, tid, 0, event ? 0 : sig);
		return;
	}
	if (!event && sig == SIGTRAP && take_hit(t))
		sig = 0;
	arm(t);
	if (tri_read_acquire(&tri_tracer->lets_go)) {
		trace_call(PTRACE_DETACH, tid, 0, event ? 0 : sig);
		tri_write_release(&t->tid, 0);
		wake();
		return;
	}
	/* All threads are stopped, as by Ctrl-Z.  The kernel tells when this one goes on. */
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		trace_call(PTRACE_LISTEN, tid, 0, 0);
		return;
	}
	trace_call(PTRACE_CONT, tid, 0, event ? 0 : sig);
}

/* Seize those threads of the agent's list that are not traced yet. */
BARE static void seize_listed(void)
{
	long options = PTRACE_O_TRACECLONE, err;
	uint32_t i;

	for (i = 0; i < tri_tracer->nlist && !tri_read(&tri_tracer->lets_go); i++) {
		if (tri_tracer_find(tri_tracer->list[i]))
			continue;
		err = trace_call(PTRACE_SEIZE, tri_tracer->list[i], 0, options);
		/* For a thread that is ending the error may be EPERM. */
		if (err == -ESRCH || (err && !is_of_ours(tri_tracer->list[i])))
			continue;
		if (err || !add(tri_tracer->list[i]))
			tri_write(&tri_tracer->refused, err ? (uint32_t)-err : E2BIG);
	}
}

/* Deal with all threads that have stopped or ended.  False: there is none to wait for. */
BARE static bool take_stops(void)
{
	struct tri_traced *t;
	int status;
	long tid;

	while ((tid = tri_bare(SYS_wait4, -1, (long)&status, WNOHANG | __WALL, 0)) > 0) {
		if (WIFSTOPPED(status)) {
			stopped((pid_t)tid, status);
			continue;
		}
		t = tri_tracer_find((pid_t)tid);
		if (t)
			tri_write_release(&t->tid, 0);
		wake();
	}
	return tid != -ECHILD;
}

/** The tracer.  Runs on the stack in *tri_tracer, with the agent's thread pointer. */
BARE int tri_tracer_run(void *unused)
{
	/* The kernel's struct sigaction: handler, flags, restorer, mask. */
	static const uint64_t dfl[4];
	static const struct timespec wait = { 0, 10000000 };
	uint64_t set = ~0ull;
	bool has_traced = false;
	uint32_t asked;

	(void)unused;
	tri_bare(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, 0, 8);
	/* The program may ignore SIGCHLD, and then it would not come. */
	tri_bare(SYS_rt_sigaction, SIGCHLD, (long)dfl, 0, 8);
	tri_bare(SYS_prctl, PR_SET_NAME, (long)"tricolor-tracer", 0, 0);
	tri_bare(SYS_chdir, (long)"/", 0, 0, 0);
	tri_bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	if (tri_bare(SYS_getppid, 0, 0, 0, 0) != tri_g.pid)
		goto end;
	set = 1ull << (SIGCHLD - 1) | 1ull << (SIGUSR1 - 1);
	for (;;) {
		asked = tri_read_acquire(&tri_tracer->asked);
		if (asked != tri_read(&tri_tracer->done)) {
			seize_listed();
			has_traced = true;
			tri_write_release(&tri_tracer->done, asked);
			wake();
		}
		if (!take_stops() && has_traced)
			break;
		tri_bare(SYS_rt_sigtimedwait, (long)&set, 0, (long)&wait, 8);
	}
end:
	tri_write_release(&tri_tracer->ended, 1);
	wake();
	tri_bare(SYS_exit_group, 0, 0, 0, 0);
	return 0;
}
