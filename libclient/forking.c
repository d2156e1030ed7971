// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * forking.c - locks of the C library that are lost in the child of a fork()
 *
 * dl_iterate_phdr() and pthread_getattr_np() take locks that the C library does not mend in a child: one
 * that is forked while another thread has them can never take them again.  The agent is in the
 * former in each cycle, and whoever attaches a thread is in both.  So fork() waits until none of our
 * threads is.
 *
 * A callback of the program's own, which has the loader's lock, may want ours (by forking, or by its
 * first use of the heap) while the agent has ours and waits for the loader's: waits are bounded, and
 * go on without then.
 */
#include <errno.h>

#include "internal.h"

#define PATIENCE_S 1

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool forking;		/* this thread has the lock for a fork() */

/** Keep fork() from happening.  Returns what tri_fork_release() wants.  errno is kept. */
bool tri_fork_hold(void)
{
	struct timespec until;
	int err = errno;
	bool held;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	held = !pthread_mutex_timedlock(&lock, &until);
	errno = err;
	return held;
}

void tri_fork_release(bool held)
{
	if (held)
		pthread_mutex_unlock(&lock);
}

/* Handlers of pthread_atfork(): before, and after in the parent. */
void tri_fork_prepare(void)
{
	forking = tri_fork_hold();
}

void tri_fork_over(void)
{
	tri_fork_release(forking);
	forking = false;
}

/* In the child. */
void tri_fork_reset(void)
{
	pthread_mutex_init(&lock, NULL);
	forking = false;
}
