// SPDX-License-Identifier: LGPL-2.1-or-later
/* own_thread.c - see own_thread.h */
#include "own_thread.h"

#include <pthread.h>
#include <signal.h>

#include "../base/real.h"
#include "../base/signals.h"
#include "../roots/tls.h"

tri_au32 tri_own_tids[TRI_OWN_THREADS];

int tri_own_thread_start(void *(*fn)(void *arg), size_t stack_bytes, bool attached)
{
	/* Not ours, which is for threads of the program. */
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
	 * From the thread's first instruction on.  The library's pthread_sigmask() would leave its
	 * signals open.
	 */
	pthread_attr_setsigmask_np(&attr, &blocked);
	err = create(&thread, &attr, fn, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

void tri_own_threads_reset(void)
{
	int i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		tri_write(&tri_own_tids[i], 0);
}
