// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * disposition.c - the signals that the library handles, shared with the program
 *
 * The library handles two signals.  The first interrupts threads, and wakes the agent.  It is a
 * real-time signal, which programs and the system leave alone, and which always says who sent it.
 * The second is SIGSTKFLT, which no kernel for this machine sends.  It takes the place of the
 * first when that can't be queued (RLIMIT_SIGPENDING), or is not answered because a thread has
 * blocked it by a raw system call.
 *
 * The program may use both signals as if they were its own.  What its sigaction() calls ask for is
 * kept here.  A signal that the library has not sent goes to the program's handler, with the mask,
 * the stack and the flags that it asked for.  SA_ONSTACK and SA_RESTART take effect before any
 * handler runs, so the library's own handler is installed with the program's choice of these.  The
 * rest is done here as the kernel would do it.
 *
 * Neither signal is in the mask of any handler, because a thread would hold up cycles as long as
 * the handler runs.  Handlers that were installed before the heap started are changed when it
 * starts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../agent/agent.h"
#include "../base/attributes.h"
#include "../base/real.h"
#include "restart.h"
#include "../base/signals.h"
#include "../base/state.h"

#define SA_RESTORER 0x04000000

/* The kernel's struct sigaction. */
struct kernel_action {
	sighandler_t handler;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

#define VERSIONS 64			/* so many later versions leave a version valid */

/* What the program wants done with one of our signals.  Handlers read it while others write it. */
struct shared_signal {
	tri_au32 installed;		/* the library handles the signal */
	tri_au32 current;		/* the number of the version that is valid */
	tri_au32 taken;			/* the number of the newest version */
	struct sigaction version[VERSIONS];
};

static struct shared_signal shared[2];

/* The library's own handler; it is set once. */
static void (*handler)(int sig, siginfo_t *info, void *context);

/* Which of our signals @sig is; -1: none, or the heap has not started. */
static int which_of(int sig)
{
	int i;

	for (i = 0; i < 2; i++)
		if (tri_read_acquire(&shared[i].installed) &&
		    sig == (int)tri_read(&tri_signal_numbers[i]))
			return i;
	return -1;
}

/*
 * Copy what the program wants.  Returns the number of that version.  It is read again if it may
 * have been overwritten meanwhile.
 */
static uint32_t read_version(struct shared_signal *s, struct sigaction *act)
{
	uint32_t current;

	do {
		current = tri_read_acquire(&s->current);
		*act = s->version[current % VERSIONS];
		atomic_thread_fence(memory_order_acquire);
	} while (tri_read(&s->taken) - current >= VERSIONS);
	return current;
}

/* Make a version, which others do not see yet. */
static uint32_t new_version(struct shared_signal *s, const struct sigaction *act)
{
	uint32_t n = atomic_fetch_add(&s->taken, 1) + 1;

	s->version[n % VERSIONS] = *act;
	return n;
}

static bool has_handler(const struct sigaction *act)
{
	return (act->sa_flags & SA_SIGINFO) ||
	       (act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

static int install(struct shared_signal *s, const struct sigaction *program,
		   struct sigaction *old)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_sigaction = handler;
	act.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	if (has_handler(program))
		act.sa_flags = SA_SIGINFO | (program->sa_flags & (SA_RESTART | SA_ONSTACK));
	/* Block all signals, also those that the C library keeps to itself: see signal.c. */
	memset(&act.sa_mask, 0xff, sizeof(act.sa_mask));
	return tri_real_sigaction((int)tri_read(&tri_signal_numbers[s - shared]), &act, old) ?
		       -errno :
		       0;
}

int tri_real_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return REAL(sigaction)(sig, act, old);
}

/* Choose the first signal.  If none was set, it is one that the program has no handler for. */
static int choose(void)
{
	int n = tri_signal_number(0);
	struct sigaction act;

	if (tri_g.settings.signal)
		return tri_g.settings.signal;
	for (; n <= SIGRTMAX; n++)
		if (!tri_real_sigaction(n, NULL, &act) &&
		    (!has_handler(&act) || act.sa_sigaction == handler))
			return n;
	return tri_signal_number(0);
}

static int take_over(int which, int number)
{
	struct shared_signal *s = &shared[which];
	struct sigaction old, none;
	int err;

	memset(&none, 0, sizeof(none));
	tri_write(&tri_signal_numbers[which], (uint32_t)number);
	/* What was there is kept before, so that a signal that comes at once finds it. */
	if (tri_real_sigaction(number, NULL, &old))
		return -errno;
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != handler)
		tri_write_release(&s->current, new_version(s, &old));
	else
		read_version(s, &old);
	err = install(s, &old, NULL);
	if (!err)
		tri_write_release(&s->installed, 1);
	return err;
}

/*
 * Change the program's handler of @sig: it returns to our restorers, and its mask does not block
 * our signals.  If another thread installs another handler at the same time, that one stays.
 */
static void adopt(int sig)
{
	struct kernel_action act, was;

	if (syscall(SYS_rt_sigaction, sig, NULL, &act, 8L))
		return;
	while (act.handler != SIG_DFL && act.handler != SIG_IGN) {
		act.restorer = act.flags & SA_RESTART ? tri_restorer_restarts : tri_restorer;
		act.flags |= SA_RESTORER;
		act.mask &=
			~(1ull << (tri_signal_number(0) - 1) | 1ull << (tri_signal_number(1) - 1));
		if (syscall(SYS_rt_sigaction, sig, &act, &was, 8L) || was.handler == act.handler)
			return;
		act = was;
		if (act.handler == SIG_DFL || act.handler == SIG_IGN)
			syscall(SYS_rt_sigaction, sig, &act, NULL, 8L);
	}
}

/* Change all handlers that were installed before the heap started. */
static void adopt_all(void)
{
	int sig;

	for (sig = 1; sig <= SIGRTMAX; sig++)
		/* 32 and 33 are the C library's own. */
		if (which_of(sig) < 0 && (sig < 32 || sig >= SIGRTMIN))
			adopt(sig);
}

/** Have @fn handle the library's signals.  Called when the heap starts.  Returns 0 or -errno. */
int tri_signal_install(void (*fn)(int sig, siginfo_t *info, void *context))
{
	int first, err;

	handler = fn;
	first = choose();
	tri_g.settings.signal = first;
	err = take_over(0, first);
	if (!err && first != SIGSTKFLT)
		err = take_over(1, SIGSTKFLT);
	if (!err)
		adopt_all();
	return err;
}

static void set_mask(const void *set)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, NULL, 8);
}

/* Take the default action of a signal that nobody handles. */
static void by_default(int sig, const siginfo_t *info)
{
	struct sigaction act;

	if (sig == SIGURG || sig == SIGCHLD || sig == SIGWINCH || sig == SIGCONT)
		return;
	/* One without a sender may be ours, sent to a thread that has detached since. */
	if (info->si_code == SI_USER && !info->si_pid)
		return;
	if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
		kill(getpid(), SIGSTOP);
		return;
	}
	/* The process ends of it, as soon as the handler has returned. */
	memset(&act, 0, sizeof(act));
	tri_real_sigaction(sig, &act, NULL);
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info))
		syscall(SYS_tgkill, getpid(), gettid(), sig);
}

/**
 * Do what the program wants done with a signal that the library has not sent.  The library's
 * handler calls this last, because the program's handler may jump out of it.
 */
void tri_signal_chain(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct sigaction act, dfl;
	struct shared_signal *s;
	uint32_t version;
	sigset_t mask;
	int which = which_of(sig);

	if (which < 0)
		return;
	/* The agent is no thread of the program, so its first thread gets the signal. */
	if (tri_is_agent) {
		if (syscall(SYS_rt_tgsigqueueinfo, tri_g.pid, tri_g.pid, sig, info))
			syscall(SYS_tgkill, tri_g.pid, tri_g.pid, sig);
		return;
	}
	s = &shared[which];
	memset(&dfl, 0, sizeof(dfl));
	do {
		version = read_version(s, &act);
	} while (has_handler(&act) && (act.sa_flags & (int)SA_RESETHAND) &&
		 !atomic_compare_exchange_strong(&s->current, &version, new_version(s, &dfl)));
	if (!has_handler(&act)) {
		if (act.sa_handler == SIG_DFL)
			by_default(sig, info);
		return;
	}
	memcpy(&mask, &uc->uc_sigmask, 8);
	sigorset(&mask, &mask, &act.sa_mask);
	tri_signals_strip(&mask);
	if (!(act.sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	set_mask(&mask);
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, context);
	else
		act.sa_handler(sig);
	memset(&mask, 0xff, sizeof(mask));
	set_mask(&mask);
	tri_handler_returns(uc, act.sa_flags & SA_RESTART);
}

TRI_EXPORT int sigaction(int sig, const struct sigaction *restrict act,
			 struct sigaction *restrict old)
{
	struct sigaction copy, before;
	struct shared_signal *s;
	int which = which_of(sig), err;

	/* A child of vfork() shares this memory, but has dispositions of its own. */
	if (which >= 0 && getpid() == tri_g.pid) {
		s = &shared[which];
		read_version(s, &before);
		if (act) {
			before = s->version[atomic_exchange(&s->current, new_version(s, act)) %
					    VERSIONS];
			if (install(s, act, NULL))
				return -1;
		}
		if (old)
			*old = before;
		return 0;
	}
	if (act) {
		copy = *act;
		tri_signals_strip(&copy.sa_mask);
		act = &copy;
	}
	err = tri_real_sigaction(sig, act, old);
	if (!err && act && has_handler(act) && tri_read_acquire(&shared[0].installed))
		adopt(sig);
	return err;
}

TRI_EXPORT sighandler_t signal(int sig, sighandler_t fn)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = fn;
	act.sa_flags = SA_RESTART;
	sigaddset(&act.sa_mask, sig);
	if (sigaction(sig, &act, &old))
		return SIG_ERR;
	return old.sa_handler;
}
