// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sigmask.c - no mask of the program's holds a signal of the library's
 *
 * Stand in front of the C library's functions: these signals can't be blocked, nor read from a
 * descriptor.  (sigaction() and signal() are in disposition.c, and the functions that wait for
 * signals in blocking.c.)
 */
#include <signal.h>
#include <sys/signalfd.h>

#include "attributes.h"
#include "real.h"
#include "signals.h"

/* A set without the library's signals, when signals are being blocked. */
static const sigset_t *keep_open(int how, const sigset_t *set, sigset_t *copy)
{
	if (!set || how == SIG_UNBLOCK)
		return set;
	*copy = *set;
	/* Before the heap starts as well: the thread may hold objects later. */
	tri_signals_strip(copy);
	return copy;
}

TRI_EXPORT int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	sigset_t copy;

	return REAL(pthread_sigmask)(how, keep_open(how, set, &copy), old);
}

TRI_EXPORT int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	sigset_t copy;

	return REAL(sigprocmask)(how, keep_open(how, set, &copy), old);
}

TRI_EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
	sigset_t copy;

	return REAL(signalfd)(fd, keep_open(SIG_BLOCK, set, &copy), flags);
}

/*
 * A program may be started with all signals blocked, by whoever blocked them around fork() and
 * exec().  The main thread opens ours before anything else, as another thread may start the heap
 * while it waits for good.  One that is pending already was sent to the program, and would end it.
 */
__attribute__((constructor)) static void open_main_thread(void)
{
	sigset_t ours, pending;

	sigemptyset(&ours);
	sigaddset(&ours, tri_signal_number(0));
	sigaddset(&ours, tri_signal_number(1));
	if (!sigpending(&pending) && !sigismember(&pending, tri_signal_number(0)) &&
	    !sigismember(&pending, tri_signal_number(1)))
		sigprocmask(SIG_UNBLOCK, &ours, NULL);
}
