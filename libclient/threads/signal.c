// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * signal.c - the handshake signal, and answering
 *
 * A thread has something to answer when `pending` is set.  It answers
 *	- on its way out of the library (tri_leave()), or in tri_poll();
 *	- else in the handler of the signal that the agent sends after a short while.
 * A handler that finds its thread inside leaves `pending` for the way out.  The kernel has already
 * sent an interrupted restartable sequence back to its start when the handler begins.
 *
 * All signals are blocked while the handler does its work, also those with which the C library
 * cancels threads and changes user IDs: no handler of the program's runs on top of it, so that no
 * jump, no cancellation and no switch of stacks can leave it part-way.  Nothing that it waits for
 * needs one of those signals: it waits for the agent only, which blocks them too, and a thread that
 * changes user IDs waits until the handler has returned.
 *
 * The handler makes no allocation, takes no lock, uses no stdio and keeps errno.  A signal that is
 * not ours goes to the handler that the program had installed, before or after (disposition.c).
 */
#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "../program/inside.h"
#include "../base/lock.h"
#include "region.h"
#include "../roots/registers.h"
#include "restart.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "thread.h"
#include "visit.h"

/* If a stop lasts longer than this, the collector must have been stopped itself. */
#define STOP_NS 60000000000ull

static void atomic_max(tri_au64 *max, uint64_t value)
{
	uint64_t old = tri_read(max);

	while (value > old && !atomic_compare_exchange_weak(max, &old, value))
		;
}

/* Count one interruption of a thread, which began at @began_ns and ends now. */
void tri_interrupted(uint64_t began_ns)
{
	struct tri_interruptions *i = &tri_g.interruptions;
	uint64_t ns = tri_now_ns() - began_ns;

	atomic_max(&i->max_ns, ns);
	atomic_max(&i->all_max_ns, ns);
	atomic_fetch_add_explicit(&i->total_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&i->all_total_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&i->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&i->all_count, 1, memory_order_relaxed);
}

static void answered(void)
{
	atomic_fetch_add(&tri_g.answers, 1);
	tri_futex_wake(&tri_g.answers);
}

/*
 * Do what `pending` asks for.  Scan the stack from @sp up, the words in [@extra, @extra_end) and
 * the registers in @uc.  Then, if the agent has asked for a stop, wait until it ends.  @uc is what
 * the signal interrupted, or NULL if the thread answers on its way out of the library.
 */
static void do_answer(struct tri_thread *t, uintptr_t sp, uintptr_t extra, uintptr_t extra_end,
		      const ucontext_t *uc)
{
	uint64_t began = tri_now_ns();
	uint32_t what;

	while ((what = tri_read_acquire(&t->pending)) && what != TRI_PENDING_WAKE) {
		bool stop = what & TRI_PENDING_STOP;
		uint32_t resume = tri_read(&tri_g.resume);

		tri_scan_frame(t, extra, extra_end, stop);
		if (uc)
			tri_scan_registers(t, uc, stop);
		tri_scan_stack(t, t, sp, stop);
		tri_write_release(&t->scanned_cycle, t->gen + 1);
		if (stop)
			tri_write(&t->stopped, 1);
		tri_write_release(&t->pending, 0);
		tri_flag_set(&tri__tls.attention, TRI_FLAG_AGENT, false);
		answered();
		if (stop) {
			while (tri_read_acquire(&tri_g.resume) == resume) {
				if (tri_now_ns() - began > STOP_NS) {
					/*
					 * The thread goes on, while the agent takes it for stopped.
					 * So this cycle must free nothing.
					 */
					tri_write(&tri_g.cycle_is_void, 1);
					break;
				}
				tri_futex_wait(&tri_g.resume, resume, 1000000000);
			}
			tri_write_release(&t->stopped, 0);
		}
	}
	tri_interrupted(began);
}

/*
 * Wake the agent if it waits for @t to be outside.  It is called when @t is outside already: an
 * agent that was woken earlier would find @t inside, and ask again.  If @t is asked for anything
 * else by now, `pending` stays as it is.
 */
static void wake_agent(struct tri_thread *t)
{
	uint32_t what = TRI_PENDING_WAKE;

	if (!atomic_compare_exchange_strong(&t->pending, &what, 0))
		return;
	TRI_POINT("outside.wakes");
	answered();
}

/* On the way out of the library.  The caller's registers are in the frame of this function. */
__attribute__((noinline))
void tri_answer(struct tri_thread *t)
{
	uintptr_t regs[6];
	uintptr_t sp = tri_save_registers(regs);
	int saved_errno = errno;

	if (tri_read(&t->pending) != TRI_PENDING_WAKE) {
		tri_go_in(t);
		do_answer(t, sp, (uintptr_t)regs, (uintptr_t)(regs + 6), NULL);
		tri_come_out(t);
	}
	wake_agent(t);
	errno = saved_errno;
}

/*
 * Where the signal frame ends.  The vector registers are in it.  It lies below the interrupted
 * stack pointer, so it is not scanned with the stack.
 */
static uintptr_t frame_end(const ucontext_t *uc)
{
	const char *fp = (const char *)uc->uc_mcontext.fpregs;
	uint32_t magic, size;

	if (!fp)
		return (uintptr_t)(uc + 1);
	/* struct _fpx_sw_bytes at offset 464 of the fxsave image: magic1, extended_size */
	memcpy(&magic, fp + 464, sizeof(magic));
	memcpy(&size, fp + 468, sizeof(size));
	return (uintptr_t)fp + (magic == 0x46505853 ? size : 512);
}

/*
 * Whether the library has sent this signal.  A real-time signal always says who sent it: the kernel
 * refuses to send one without.  Of other signals the kernel may lose the sender, when too many
 * signals are pending (RLIMIT_SIGPENDING).  A signal without a sender is taken for ours if the
 * agent has sent one that has not arrived yet.
 */
static bool is_ours(struct tri_thread *t, int sig, const siginfo_t *info)
{
	bool named = info->si_code == SI_QUEUE && info->si_value.sival_ptr == &tri_g;
	bool nameless = info->si_code == SI_USER && !info->si_pid;
	int which = sig == tri_signal_number(1);
	uint32_t sent = TRI_SENT;

	/* Each of these wakes the agent.  In a sandbox it comes by tgkill(): tri_signal_wake(). */
	if (tri_is_agent &&
	    (named || nameless || (info->si_code == SI_TKILL && info->si_pid == tri_g.pid)))
		return true;
	if (!named && (!nameless || !t || !tri_read(&t->signal_sent[which])))
		return false;
	/* TRI_SENDING stays: this may be an earlier signal, while another is about to be sent. */
	if (t)
		atomic_compare_exchange_strong(&t->signal_sent[which], &sent, 0);
	return true;
}

/* In the handler: report that the thread has passed a fence, and scan if that was asked for. */
static void answer_signal(struct tri_thread *t, const ucontext_t *uc, uintptr_t end)
{
	uint32_t fence = tri_read(&tri_g.fence);

	atomic_thread_fence(memory_order_seq_cst);
	if (tri_read(&t->fence_seen) != fence) {
		tri_write_release(&t->fence_seen, fence);
		answered();
	}
	if (t->depth || !tri_read(&t->pending) || tri_blocked(tri_read(&t->blocked)) != TRI_RUNNING)
		return;
	if (tri_read(&t->pending) != TRI_PENDING_WAKE) {
		tri_go_in(t);
		do_answer(t, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP] - 128, (uintptr_t)uc,
			  end, uc);
		tri_come_out(t);
	}
	wake_agent(t);
}

void tri_signal_handler(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	uintptr_t end = frame_end(uc);
	struct tri_thread *t;
	int saved_errno;
	bool ours;

	if (end < (uintptr_t)(uc + 1))
		end = (uintptr_t)(uc + 1);
	/* The general registers are in @uc.  The red zone is 128 bytes below the stack pointer. */
	if (tri_visit(info, uc, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP] - 128, end))
		return;
	t = tri__tls.thread;
	saved_errno = errno;
	ours = is_ours(t, sig, info);
	/*
	 * The thread answers whoever has sent the signal: of two signals that are pending at once
	 * the kernel may deliver only one, and the other may have been ours.
	 */
	if (t) {
		tri_write(&t->interrupted, tri_read(&t->interrupted) + 1);
		answer_signal(t, uc, end);
	}
	/* The agent's own system call is not restarted: the signal is meant to wake it up. */
	if (ours && !tri_is_agent)
		tri_restart(t, context);
	errno = saved_errno;
	if (!ours)
		tri_signal_chain(sig, info, context);
}
