/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * names.h - other names in glibc's libc.a for the functions that this library stands in front of
 *
 * X(function, name, member): @name is the same function under a name that no program uses.  @member
 * is another symbol whose definition brings the archive member with @name into the program.  It
 * can't be @name itself: see members.c.
 */
X(pthread_create, __pthread_create_2_1, __pthread_create)
X(pthread_join, ___pthread_join, __pthread_join)
X(pthread_detach, ___pthread_detach, __pthread_detach)
X(pthread_exit, __pthread_exit, thrd_exit)
X(sigaction, __sigaction, siginterrupt)
X(signal, __bsd_signal, bsd_signal)
X(sigprocmask, __sigprocmask, sigblock)
X(pthread_sigmask, __pthread_sigmask, sigblock)
X(sigsuspend, __sigsuspend, __libc_sigsuspend)
X(sigwait, __sigwait, __libc_sigwait)
X(sigwaitinfo, __sigwaitinfo, __libc_sigwaitinfo)
X(sigtimedwait, __sigtimedwait, __libc_sigwaitinfo)
X(poll, __poll, __libc_poll)
X(select, __select, __libc_select)
X(nanosleep, __nanosleep, __sleep)
X(clock_nanosleep, __clock_nanosleep, thrd_sleep)
X(sem_timedwait, ___sem_timedwait64, ___sem_timedwait)
X(sem_clockwait, ___sem_clockwait64, ___sem_clockwait)
X(longjmp, __libc_siglongjmp, __libc_longjmp)
X(_longjmp, __libc_siglongjmp, __libc_longjmp)
X(siglongjmp, __libc_siglongjmp, __libc_longjmp)
