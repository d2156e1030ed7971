// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lastexit.c - a process whose last thread ends must end, whatever threads the library has
 *
 * The C library counts threads, and the last one that ends by its ways calls exit(0), after its
 * destructors.  Threads of this library take themselves out of that count, so that the program's
 * last thread is the last one for the C library too.
 *
 * The C library does not notice when a thread leaves by the system call.  Without this library the
 * kernel would end the process after the last such thread, without exit().  With it, threads of the
 * library are left, so the agent ends the process in the same way.  The status of the process
 * should be that of the thread that ended last.  That is 0 if it ended by the C library's ways.  If
 * not, only the main thread's status can be known, and it is used.
 */
#include <dlfcn.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/system/futex.h"
#include "../base/error.h"
#include "lastexit.h"
#include "../base/real.h"
#include "../base/state.h"
#include "tasks.h"
#include "thread.h"

/* The C library's count, which it exports for debuggers (nptl_db/structs.def). */
static unsigned int *count;

/** Find the count.  Returns 0, or -ENOSYS if this C library exports none. */
int tri_last_exit_check(void)
{
	if (!count)
		count = tri_libc_private("__nptl_nthreads");
	if (!count)
		return tri_fail(ENOSYS,
				"tricolor: the C library has no __nptl_nthreads; glibc 2.35 or "
				"later is needed");
	return 0;
}

/**
 * Take the calling thread, one of the library's, out of the count, so that it does not keep the
 * process alive.  Its function must never return, unless it calls tri_counted_again() before.
 */
void tri_not_counted(void)
{
	__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
}

/** The calling thread is about to end, and the C library will take it out of the count. */
void tri_counted_again(void)
{
	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
}

/** Agent: leave if no thread of the program is left. */
void tri_exit_if_alone(void)
{
	int status = 0;
	bool left, raw;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	left = tri_g.nthreads != 0;
	raw = tri_g.ended_raw;
	pthread_mutex_unlock(&tri_g.list_lock);
	if (left || !tri_tasks_are_ours(&status))
		return;
	/* All other threads are the library's, and asleep. */
	syscall(SYS_exit_group, raw ? status : 0);
}
