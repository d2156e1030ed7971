// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * visit.c - what a visited thread does, in the handler of the handshake signal
 *
 * The thread says where its registers and its stack are, and waits until the agent has scanned
 * them.
 *
 * This code calls no function of the C library, and writes to no thread-local variable.  A thread
 * that was made by clone() without CLONE_SETTLS shares those of its maker, and errno is one of
 * them.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "../roots/stack.h"
#include "../roots/starting.h"
#include "../base/state.h"
#include "thread.h"
#include "visit.h"

struct tri_visit *tri_visits;
uint32_t tri_visits_used;

/* A system call that does not set errno, which may be another thread's. */
static long raw(long number, void *a, long b, long c)
{
	register long no_timeout __asm__("r10") = 0;
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(no_timeout)
			 : "rcx", "r11", "memory");
	return result;
}

/**
 * Called first in the handler.  Returns whether the signal was for a visit.  The registers are
 * between @uc and @frame_end.  The thread may have no thread-local variables of its own.  It may
 * also have attached itself since it was asked.
 */
bool tri_visit(const siginfo_t *info, const ucontext_t *uc, uintptr_t sp, uintptr_t frame_end)
{
	struct tri_visit *v = info->si_value.sival_ptr;
	struct tri_thread *t = tri__tls.thread;
	uint64_t asked;
	pid_t tid;

	if (info->si_code != SI_QUEUE || !tri_visits || v < tri_visits ||
	    v >= tri_visits + TRI_VISITS)
		return false;
	tid = (pid_t)raw(SYS_gettid, NULL, 0, 0);
	asked = tri_visit_state(tid, TRI_VISIT_ASKED);
	if (!atomic_compare_exchange_strong(&v->state, &asked,
					    tri_visit_state(tid, TRI_VISIT_TAKEN)))
		return true;
	raw(SYS_clock_gettime, (void *)CLOCK_MONOTONIC, (long)&v->began, 0);
	v->attaching = tri_between || (t && t->tid == tid);
	v->stranger = !tri_begun_here;
	v->sp = sp;
	v->frame = (uintptr_t)uc;
	v->frame_end = frame_end;
	v->thread_pointer = (uintptr_t)__builtin_thread_pointer();
	v->signal_lo = uc->uc_stack.ss_flags & SS_DISABLE ? 0 : (uintptr_t)uc->uc_stack.ss_sp;
	v->signal_hi = v->signal_lo ? v->signal_lo + uc->uc_stack.ss_size : 0;
	v->fake_stack = tri_g.fake_stacks ? tri_fake_stack() : NULL;
	/* Release: pairs with tri_visit_what(). */
	tri_write_release(&v->state, tri_visit_state(tid, TRI_VISIT_WAITING));
	atomic_fetch_add(&tri_g.answers, 1);
	raw(SYS_futex, &tri_g.answers, FUTEX_WAKE, INT_MAX);
	while (tri_read_acquire(&v->state) == tri_visit_state(tid, TRI_VISIT_WAITING))
		raw(SYS_futex, &v->state, FUTEX_WAIT, TRI_VISIT_WAITING);
	return true;
}
