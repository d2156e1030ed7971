// SPDX-License-Identifier: LGPL-2.1-or-later
/* own_thread.c - see own_thread.h */
#include "own_thread.h"

#include <pthread.h>
#include <signal.h>

#include "../base/real.h"
#include "../base/signals.h"
#include "../roots/tls.h"

tri_au32 tri_own_tids[TRI_OWN_THREADS];

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

/*
 * The address sanitizer does not see that the C library's own pthread_create() makes a thread.  In
 * the child of a fork(), the stack may be one that a thread of the parent had.  The sanitizer still
 * has notes about that thread's variables, so they are removed.
 */
__attribute__((no_sanitize("address"))) static void *begin(void *fn)
{
	pthread_attr_t attr;
	size_t bytes;
	void *lo;

	if (!pthread_getattr_np(pthread_self(), &attr)) {
		pthread_attr_getstack(&attr, &lo, &bytes);
		pthread_attr_destroy(&attr);
		__asan_unpoison_memory_region(
			lo, (size_t)((char *)__builtin_frame_address(0) - (char *)lo));
	}
	return ((void *(*)(void *))fn)(NULL);
}
#endif

int tri_own_thread_start(void *(*fn)(void *arg), size_t stack_bytes, bool attached)
{
	/* The library's own pthread_create() is for threads of the program. */
	__typeof__(pthread_create) *create = tri_real_of("pthread_create");
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t blocked;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, tri_tls_stack_bytes(stack_bytes));
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&blocked);
	if (attached)
		tri_signals_strip(&blocked);
	/*
	 * The signals are blocked from the thread's first instruction on.  The library's
	 * pthread_sigmask() could not do it: it never blocks the library's own signals.
	 */
	pthread_attr_setsigmask_np(&attr, &blocked);
#ifdef __SANITIZE_ADDRESS__
	err = create(&thread, &attr, begin, (void *)fn);
#else
	err = create(&thread, &attr, fn, NULL);
#endif
	pthread_attr_destroy(&attr);
	return err;
}

void tri_own_threads_reset(void)
{
	int i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		tri_write(&tri_own_tids[i], 0);
}
