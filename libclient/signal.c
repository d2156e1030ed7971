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
 * The handler makes no allocation, takes no lock, uses no stdio and keeps errno.  A signal that is
 * not ours goes to the handler that the program had installed, before or after.
 */
#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "futex.h"
#include "internal.h"

static void atomic_max(tri_au64 *max, uint64_t value)
{
	uint64_t old = tri_read(max);

	while (value > old && !atomic_compare_exchange_weak(max, &old, value))
		;
}

/* The thread was held up since @began_ns. */
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

/* Scan from @sp, and from @extra .. @extra_end, and wait if that was asked. */
static void do_answer(struct tri_thread *t, uintptr_t sp, uintptr_t extra, uintptr_t extra_end)
{
	uint64_t began = tri_now_ns();
	uint32_t what;

	while ((what = tri_read_acquire(&t->pending))) {
		bool stop = what & TRI_PENDING_STOP;
		uint32_t resume = tri_read(&tri_g.resume);

		tri_scan_frame(t, extra, extra_end, stop);
		tri_scan_stack(t, t, sp, stop);
		tri_write_release(&t->scanned_cycle, t->gen + 1);
		if (stop)
			tri_write(&t->stopped, 1);
		tri_write_release(&t->pending, 0);
		tri__tls.attention = 0;
		answered();
		if (stop) {
			while (tri_read_acquire(&tri_g.resume) == resume)
				tri_futex_wait(&tri_g.resume, resume, -1);
			tri_write_release(&t->stopped, 0);
		}
	}
	tri_interrupted(began);
}

/* On the way out of the library.  The caller's registers are in the frame of this function. */
__attribute__((noinline))
void tri_answer(struct tri_thread *t)
{
	uintptr_t regs[6];
	uintptr_t sp = tri_save_registers(regs);
	int saved_errno = errno;

	t->depth = 1;
	tri_write(&t->visits, tri_read(&t->visits) + 1);
	atomic_signal_fence(memory_order_seq_cst);
	do_answer(t, sp, (uintptr_t)regs, (uintptr_t)(regs + 6));
	atomic_signal_fence(memory_order_seq_cst);
	t->depth = 0;
	tri_write_release(&t->visits, tri_read(&t->visits) + 1);
	errno = saved_errno;
}

TRI_EXPORT void tri__poll_slow(void)
{
	struct tri_thread *t = tri_enter();

	if (t)
		tri_leave(t);
}

/* What the program wants done with the signal; written by its sigaction() calls. */
static struct sigaction program_action;

static void chain(int sig, siginfo_t *info, void *context)
{
	struct sigaction act = program_action;

	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, context);
	else if (act.sa_handler != SIG_IGN && act.sa_handler != SIG_DFL)
		act.sa_handler(sig);
}

/*
 * The vector registers are in the signal frame, which lies below the interrupted stack pointer and is
 * not scanned with the stack.
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

static void handler(int sig, siginfo_t *info, void *context)
{
	struct tri_thread *t = tri__tls.thread;
	const ucontext_t *uc = context;
	int saved_errno = errno;
	uintptr_t end;

	bool ours = info->si_code == SI_QUEUE && info->si_value.sival_ptr == &tri_g;

	if (!ours)
		chain(sig, info, context);
	/* Also after another's signal: of two that are pending at once only one is delivered. */
	if (t) {
		uint32_t fence = tri_read(&tri_g.fence);

		atomic_thread_fence(memory_order_seq_cst);
		if (tri_read(&t->fence_seen) != fence) {
			tri_write_release(&t->fence_seen, fence);
			answered();
		}
		if (!t->depth && tri_read(&t->pending) && tri_read(&t->blocked) == TRI_RUNNING) {
			t->depth = 1;
			tri_write(&t->visits, tri_read(&t->visits) + 1);
			atomic_signal_fence(memory_order_seq_cst);
			end = frame_end(uc);
			if (end < (uintptr_t)(uc + 1))
				end = (uintptr_t)(uc + 1);
			/* General registers are in the ucontext, 128 bytes of red zone below sp. */
			do_answer(t, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP] - 128, (uintptr_t)uc, end);
			atomic_signal_fence(memory_order_seq_cst);
			t->depth = 0;
			tri_write_release(&t->visits, tri_read(&t->visits) + 1);
		}
	}
	errno = saved_errno;
}

int tri_signal_install(void)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_sigaction = handler;
	act.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&act.sa_mask);
	if (tri_real_sigaction(tri_g.settings.signal, &act, &old))
		return -errno;
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != handler)
		program_action = old;
	return 0;
}

int tri_signal_send(pid_t tid)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	info.si_pid = tri_g.pid;
	info.si_value.sival_ptr = &tri_g;
	if (syscall(SYS_rt_tgsigqueueinfo, tri_g.pid, tid, tri_g.settings.signal, &info))
		return -errno;
	return 0;
}

/*
 * Interposed, so that the program can use the signal as if it were its own, and can't block it: a
 * thread that has it blocked would hold up every cycle.
 */
static bool ours(int sig)
{
	return tri_read(&tri_g.state) == TRI_STATE_READY && sig == tri_g.settings.signal;
}

TRI_EXPORT int sigaction(int sig, const struct sigaction *restrict act,
			 struct sigaction *restrict old)
{
	struct sigaction copy;

	if (ours(sig)) {
		copy = program_action;
		if (act)
			program_action = *act;
		if (old)
			*old = copy;
		return 0;
	}
	if (act && tri_read(&tri_g.state) == TRI_STATE_READY) {
		copy = *act;
		sigdelset(&copy.sa_mask, tri_g.settings.signal);
		act = &copy;
	}
	return tri_real_sigaction(sig, act, old);
}

TRI_EXPORT sighandler_t signal(int sig, sighandler_t fn)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = fn;
	act.sa_flags = SA_RESTART;
	if (sigaction(sig, &act, &old))
		return SIG_ERR;
	return old.sa_handler;
}
