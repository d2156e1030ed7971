// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lastwatch.c - when the agent looks whether any thread of the program is left (lastexit.c)
 *
 * No call of ours is made by a thread that leaves by the bare system call, and it may have been the
 * last one.  An idle program must not be woken up to find that out, so that something else has to
 * tell:
 *
 *  1. While the main thread lives nothing else matters, and it mostly lives to the end.  The kernel
 *     wakes up whoever waits for its robust mutex (life.c) when it ends.  The agent waits in
 *     ppoll(), which knows no futex, so a thread of its own does: it sleeps until then, and tells
 *     the agent.  A pidfd of the main thread would not do: since Linux 6.15 it says nothing until
 *     all other threads have ended, and the agent is one of those.
 *  2. When the main thread is over, another thread of the program is watched, whichever the kernel
 *     lists: by a pidfd of this one thread, which Linux has from 6.9 on.  When that ends the next
 *     one is.
 *  3. Where neither can be had (an older kernel, a sandbox, no /proc, a library that another thread
 *     than the main one has loaded) the agent looks now and then.  It waits twice as long each time
 *     that nothing has happened, up to 16 s: an idle program costs next to nothing, and one that
 *     ends in this way soon after it has worked ends soon.
 *
 * All of this is the agent's, but what is said to be otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "lastexit.h"
#include "life.h"
#include "../base/lock.h"
#include "own_thread.h"
#include "../base/state.h"
#include "tasks.h"

#define STACK_BYTES (16ul << 10)
#define FIRST_NS 1000000000ull		/* until the next look, while threads are attached */
#define UNATTACHED_NS 10000000ull	/* until the next look, while none is attached */
#define MAX_NS 16000000000ull		/* until the next look, when nothing has happened for
					 * long */

static int pidfd = -1;			/* of a thread of the program, in the agent's table */
static bool quiet;			/* nothing but a look has happened since the last look */

/* ------------------------------------------------------------------------------------------ */
/* The thread that waits for the main thread                                                  */
/* ------------------------------------------------------------------------------------------ */

static void *wait_for_main(void *unused)
{
	tri_au32 *tid = &tri_own_tids[TRI_OWN_MAIN_WATCH];

	(void)unused;
	tri_not_counted();
	prctl(PR_SET_NAME, "tricolor-waits");
	tri_write_release(tid, (uint32_t)gettid());
	tri_futex_wake(tid);
	tri_main_wait();
	TRI_POINT("last.main_over");
	tri_agent_wake(TRI_WAKE_THREADS);
	/* It ends with the process: so whoever counts threads need not know of its end. */
	for (;;)
		tri_futex_wait(tid, tri_read(tid), -1);
	return NULL;
}

/**
 * Start that thread, before the agent works.  By a thread of the program.  If that is not possible,
 * as where there may be no more threads, the agent looks now and then.
 */
void tri_last_watch_start(void)
{
	int err;

	if (!tri_main_lives() || TRI_POINT_FAILS("last.waiter"))
		return;
	err = tri_own_thread_start(wait_for_main, STACK_BYTES, false);
	while (!err && !tri_own_tid(TRI_OWN_MAIN_WATCH))
		tri_futex_wait(&tri_own_tids[TRI_OWN_MAIN_WATCH], 0, -1);
}

/* In the child of a fork(). */
void tri_last_watch_reset(void)
{
	pidfd = -1;
	quiet = false;
}

/* ------------------------------------------------------------------------------------------ */
/* The agent                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static bool threads_left(void)
{
	bool left;

	pthread_mutex_lock(&tri_g.list_lock);
	left = tri_g.nthreads != 0;
	pthread_mutex_unlock(&tri_g.list_lock);
	return left;
}

/** To be waited for; -1: none. */
int tri_last_watch_fd(void)
{
	return pidfd;
}

/** When the next look is due if nothing tells before that; UINT64_MAX: something will. */
uint64_t tri_last_watch_ns(void)
{
	static uint64_t ns;

	if (pidfd >= 0 || (tri_own_tid(TRI_OWN_MAIN_WATCH) && tri_main_lives()))
		return UINT64_MAX;
	if (!quiet)
		ns = threads_left() ? FIRST_NS : UNATTACHED_NS;
	else if (ns < MAX_NS)
		ns = 2 * ns < MAX_NS ? 2 * ns : MAX_NS;
	TRI_POINT("last.timed");
	return ns;
}

/** Something else has happened. */
void tri_last_watch_news(void)
{
	quiet = false;
}

/**
 * A look is due, or something has told, which may have been tri_last_watch_fd().  Does not return
 * if none is left.
 */
void tri_last_watch_look(bool notified)
{
	quiet = !notified;
	if (notified && pidfd >= 0) {
		TRI_POINT("last.told");
		close(pidfd);
		pidfd = -1;
	}
	tri_exit_if_alone();
	if (pidfd < 0 && tri_main_is_over() && !TRI_POINT_FAILS("last.pidfd"))
		pidfd = tri_tasks_open_other();
	if (pidfd >= 0)
		TRI_POINT("last.watched");
}
