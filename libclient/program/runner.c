// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * runner.c - cleanups and finalizers are called
 *
 * A thread of the library's calls them, unless the program has said that it does so itself.  It is
 * started with the first record.  It handles no signal of the program, and does not keep the
 * process alive.  It is attached to the heap while something is queued.
 *
 * A record is free before its function is called, and no lock is held meanwhile.  So the function
 * may do what it likes.  If it ends the thread, another one goes on.
 */
#include "runner.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../base/error.h"
#include "../base/state.h"
#include "../heap/specials.h"
#include "../threads/lastexit.h"
#include "../threads/own_thread.h"
#include "../start/attach.h"
#include "inside.h"
#include "tricolor.h"

#define RETRY_NS 1000000000		/* after the thread could not be attached */

static int call_next(bool is_runner, uint32_t era)
{
	struct tri_thread *t = tri_enter();
	struct tri_special_taken taken;
	bool any;

	if (!t)
		return -errno;
	/* The function before forked, and has returned in the child: see run(). */
	any = (!is_runner || era == tri_special_runner.era) && tri_special_take(t, &taken);
	tri_leave(t);
	if (!any)
		return 0;
	if (is_runner) {
		tri_write(&tri_special_busy.function,
			  taken.object ? (uintptr_t)taken.finalizer : (uintptr_t)taken.cleanup);
		tri_write_release(&tri_special_busy.since_ns, tri_now_ns());
	}
	if (taken.object)
		taken.finalizer(taken.object, taken.argument);
	else
		taken.cleanup(taken.argument);
	if (is_runner)
		tri_write(&tri_special_busy.since_ns, 0);
	/* What is left on the stack would keep the object for another cycle. */
	explicit_bzero(&taken, sizeof(taken));
	return 1;
}

int tri_call_next(void)
{
	return call_next(false, 0);
}

/* A function has ended the thread. */
static void ended(void *unused)
{
	int err;

	(void)unused;
	tri_write(&tri_special_busy.since_ns, 0);
	tri_counted_again();
	pthread_mutex_lock(&tri_special_runner.lock);
	tri_write_release(&tri_own_tids[TRI_OWN_RUNNER], 0);
	tri_special_runner.started = false;
	pthread_mutex_unlock(&tri_special_runner.lock);
	err = tri_runner_ensure();
	if (err)
		tri_print(tri_error());
}

static void *run(void *unused)
{
	tri_au32 *futex = tri_specials_futex();
	uint32_t era = tri_special_runner.era;

	(void)unused;
	tri_not_counted();
	tri_write_release(&tri_own_tids[TRI_OWN_RUNNER], (uint32_t)gettid());
	prctl(PR_SET_NAME, "tricolor-runner");
	pthread_cleanup_push(ended, NULL);
	for (;;) {
		uint32_t seen = tri_read_acquire(futex);

		if (!tri_specials_queued()) {
			TRI_POINT("runner.waits");
			tri_futex_wait(futex, seen, -1);
			continue;
		}
		if (tri_thread_attach()) {
			tri_futex_wait(futex, seen, RETRY_NS);
			continue;
		}
		while (call_next(true, era) > 0)
			;
		/*
		 * This is a child that the function has forked, and the function has returned.  In
		 * the child this thread is the only one of the program's, and has nothing else to
		 * do: the process ends as it would after any other thread.
		 */
		if (era != tri_special_runner.era)
			break;
		tri_thread_detach();
	}
	pthread_cleanup_pop(0);
	return NULL;
}

int tri_runner_ensure(void)
{
	pthread_attr_t attr;
	size_t stack_bytes;
	int err = 0;

	if (tri_g.settings.finalizers == TRI_FINALIZERS_PROGRAM)
		return 0;
	pthread_mutex_lock(&tri_special_runner.lock);
	tri_special_runner.ensure = tri_runner_ensure;
	if (!tri_special_runner.started) {
		/* Functions of the program run on it: it gets the stack that a program expects. */
		pthread_attr_init(&attr);
		pthread_attr_getstacksize(&attr, &stack_bytes);
		pthread_attr_destroy(&attr);
		err = tri_own_thread_start(run, stack_bytes, true);
		tri_special_runner.started = !err;
	}
	pthread_mutex_unlock(&tri_special_runner.lock);
	if (err)
		return tri_fail(EAGAIN, "tricolor: no thread for cleanups and finalizers: %s; or let "
				"the program call tri_run_finalizers() (TRICOLOR_FINALIZERS=program)",
				strerror(err));
	return 0;
}
