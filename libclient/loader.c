// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * loader.c - the loaded objects, and fork()
 *
 * dl_iterate_phdr() holds a lock of the dynamic loader.  The child of a fork() while any thread holds
 * it can never take it again: the C library does not mend that one.  The agent is there in each
 * cycle, so fork() waits until none of our threads is.
 *
 * A callback of the program's own, which has the loader's lock, may want ours (by forking, or by its first
 * use of the heap) while the agent has ours and waits for the loader's: waits are bounded, and go
 * on without then.
 */
#include <errno.h>
#include <link.h>

#include "internal.h"

#define PATIENCE_NS 1000000000ull

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool forking;		/* this thread has the lock for a fork() */

static bool hold(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PATIENCE_NS % 1000000000;
	until.tv_sec += PATIENCE_NS / 1000000000;
	return !pthread_mutex_timedlock(&lock, &until);
}

/** dl_iterate_phdr(), not during a fork().  errno is kept. */
void tri_loader_iterate(int (*fn)(struct dl_phdr_info *, size_t, void *), void *data)
{
	int err = errno;
	bool held = hold();

	dl_iterate_phdr(fn, data);
	if (held)
		pthread_mutex_unlock(&lock);
	errno = err;
}

/* Handlers of pthread_atfork(): before, and after in the parent. */
void tri_loader_fork(void)
{
	forking = hold();
}

void tri_loader_forked(void)
{
	if (forking)
		pthread_mutex_unlock(&lock);
	forking = false;
}

/* In the child. */
void tri_loader_reset(void)
{
	pthread_mutex_init(&lock, NULL);
	forking = false;
}
