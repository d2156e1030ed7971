// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * blocking.c - calls of the C library that are blocking regions
 *
 * poll(), select(), epoll_wait() and similar calls return EINTR after any signal, even if its
 * handler has SA_RESTART.  In a blocking region a thread gets no handshake signal.  longjmp(),
 * setcontext() and similar functions may jump out of such a region, so they end it.
 */
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>

#include "../base/attributes.h"
#include "blocking.h"
#include "../base/real.h"
#include "../base/signals.h"

/*
 * A signal handler that has interrupted a blocking call may jump out of it.  So a jump ends the
 * region.  If the jump stays within the handler, the region ends too early.  That costs a signal
 * and does no other harm.
 */
static void jump(void)
{
	tri_blocking_exit();
}

TRI_EXPORT void longjmp(jmp_buf env, int value)
{
	jump();
	REAL(longjmp)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT void _longjmp(jmp_buf env, int value)
{
	jump();
	REAL(_longjmp)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT void siglongjmp(sigjmp_buf env, int value)
{
	jump();
	REAL(siglongjmp)(env, value);
	__builtin_unreachable();
}

void __longjmp_chk(jmp_buf env, int value) __attribute__((noreturn));

/* With _FORTIFY_SOURCE, programs call these in place of the functions above. */
TRI_EXPORT void __longjmp_chk(jmp_buf env, int value)
{
	jump();
	REAL(__longjmp_chk)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT int setcontext(const ucontext_t *to)
{
	jump();
	return REAL(setcontext)(to);
}

TRI_EXPORT int swapcontext(ucontext_t *restrict from, const ucontext_t *restrict to)
{
	jump();
	return REAL(swapcontext)(from, to);
}

TRI_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	BLOCKING(REAL(poll)(fds, n, timeout));
}

TRI_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		     const sigset_t *mask)
{
	BLOCKING(REAL(ppoll)(fds, n, timeout, mask));
}

TRI_EXPORT int select(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
		      struct timeval *restrict timeout)
{
	BLOCKING(REAL(select)(n, r, w, e, timeout));
}

TRI_EXPORT int pselect(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
		       const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	BLOCKING(REAL(pselect)(n, r, w, e, timeout, mask));
}

TRI_EXPORT int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
	BLOCKING(REAL(epoll_wait)(epfd, events, n, timeout));
}

TRI_EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int n, int timeout,
			   const sigset_t *mask)
{
	BLOCKING(REAL(epoll_pwait)(epfd, events, n, timeout, mask));
}

TRI_EXPORT int nanosleep(const struct timespec *want, struct timespec *left)
{
	BLOCKING(REAL(nanosleep)(want, left));
}

TRI_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *want,
			       struct timespec *left)
{
	BLOCKING(REAL(clock_nanosleep)(clock, flags, want, left));
}

TRI_EXPORT int usleep(useconds_t us)
{
	BLOCKING(REAL(usleep)(us));
}

TRI_EXPORT unsigned int sleep(unsigned int seconds)
{
	BLOCKING(REAL(sleep)(seconds));
}

TRI_EXPORT int pause(void)
{
	BLOCKING(REAL(pause)());
}

TRI_EXPORT int sigsuspend(const sigset_t *mask)
{
	BLOCKING(REAL(sigsuspend)(mask));
}

TRI_EXPORT int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until)
{
	BLOCKING(REAL(sem_timedwait)(sem, until));
}

TRI_EXPORT int sem_clockwait(sem_t *restrict sem, clockid_t clock,
			     const struct timespec *restrict until)
{
	BLOCKING(REAL(sem_clockwait)(sem, clock, until));
}

TRI_EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int n,
			    const struct timespec *timeout, const sigset_t *mask)
{
	BLOCKING(REAL(epoll_pwait2)(epfd, events, n, timeout, mask));
}

TRI_EXPORT int semtimedop(int sem, struct sembuf *ops, size_t n, const struct timespec *timeout)
{
	BLOCKING(REAL(semtimedop)(sem, ops, n, timeout));
}

TRI_EXPORT int thrd_sleep(const struct timespec *want, struct timespec *left)
{
	BLOCKING(REAL(thrd_sleep)(want, left));
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t bytes);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t bytes);

TRI_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t bytes)
{
	BLOCKING(REAL(__poll_chk)(fds, n, timeout, bytes));
}

TRI_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
			   const sigset_t *mask, size_t bytes)
{
	BLOCKING(REAL(__ppoll_chk)(fds, n, timeout, mask, bytes));
}

/*
 * Remove the library's signals from a set to wait for.  A wait would take them, and their handler
 * would not run.
 */
static const sigset_t *without_ours(const sigset_t *set, sigset_t *copy)
{
	if (!set)
		return set;
	*copy = *set;
	tri_signals_strip(copy);
	return copy;
}

TRI_EXPORT int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info,
			    const struct timespec *restrict timeout)
{
	sigset_t copy;

	BLOCKING(REAL(sigtimedwait)(without_ours(set, &copy), info, timeout));
}

TRI_EXPORT int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict info)
{
	sigset_t copy;

	BLOCKING(REAL(sigwaitinfo)(without_ours(set, &copy), info));
}

TRI_EXPORT int sigwait(const sigset_t *restrict set, int *restrict sig)
{
	sigset_t copy;

	BLOCKING(REAL(sigwait)(without_ours(set, &copy), sig));
}
