// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lastwatch.c - when the agent looks whether any thread of the program is left (lastexit.c)
 *
 * A thread that leaves by the bare system call tells the library nothing, and it may have been the
 * last one.  The agent should not wake up regularly in an idle program to find that out.  So
 * something else has to tell it:
 *
 *  1. While the main thread lives, no other thread matters, and mostly it lives to the end.  When
 *     it ends, the kernel wakes whoever waits for its robust mutex (life.c).  The agent waits in
 *     ppoll(), which can't wait for a futex.  So a second thread of the library waits for the
 *     mutex, and then wakes the agent.  A pidfd of the main thread would not do: since Linux 6.15
 *     it becomes readable only when all other threads have ended, and the agent is one of them.
 *  2. When the main thread has ended, the agent watches any other thread of the program by a pidfd
 *     of this one thread, which Linux has from 6.9 on.  When that thread ends it takes the next.
 *  3. Sometimes neither can be had: with an older kernel, in a sandbox, without /proc, or if a
 *     thread other than the main one has loaded the library.  Then the agent looks from time to
 *     time.  It waits twice as long each time that nothing has happened, up to 16 s.  So an idle
 *     program costs next to nothing, and a program that ends soon after some work is soon gone.
 *
 * The agent calls all functions here, except those that say otherwise.
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
static bool quiet;			/* nothing has happened since the last look */

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
	/* The thread stays until the process ends, so that own_threads() can count on it. */
	for (;;)
		tri_futex_wait(tid, tri_read(tid), -1);
	return NULL;
}

/**
 * Start that thread.  A thread of the program calls this before the agent begins its work.  If the
 * thread can't be made, the agent looks from time to time instead.
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

/** A descriptor that becomes readable when a look is due; -1: there is none. */
int tri_last_watch_fd(void)
{
	return pidfd;
}

/**
 * After how many ns the next look is due, if nothing else tells before.  UINT64_MAX: something else
 * will tell.
 */
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

/** Something has happened in the program, so the next look comes early. */
void tri_last_watch_news(void)
{
	quiet = false;
}

/**
 * Look whether a thread of the program is left, and end the process if none is.  @notified: the
 * main thread's waiter or tri_last_watch_fd() has told; otherwise the time has come.
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
