// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fork_lock.c - a lock that keeps fork() from happening while a thread is being attached: see
 * forking.c
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "../start/forking.h"

#define ATTACH_PATIENCE_S 1

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/** Keep fork() from happening.  Returns what tri_fork_release() wants.  errno is kept. */
bool tri_fork_hold(void)
{
	struct timespec until;
	int err = errno;
	bool held;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ATTACH_PATIENCE_S;
	held = !pthread_mutex_timedlock(&lock, &until);
	errno = err;
	return held;
}

void tri_fork_release(bool held)
{
	if (held)
		pthread_mutex_unlock(&lock);
}

/** In the child. */
void tri_fork_lock_reset(void)
{
	pthread_mutex_init(&lock, NULL);
}
