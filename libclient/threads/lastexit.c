// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lastexit.c - a process whose last thread ends must end, whatever threads the library has
 *
 * The C library counts threads, and the last one that ends by its ways calls exit(0), after its
 * destructors.  Threads of this library take themselves out of that count, so that the program's
 * last thread is the last one for the C library too.
 *
 * A thread that leaves by the system call is never counted down.  When none is left but ours the
 * kernel would end the process, without exit(), if we were not there: so we do that.  The status of
 * the process is that of the thread that was last: 0, if it ended by the C library's ways; else we
 * know only the main thread's.
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

/** 0, or -ENOSYS if this C library has no count that we know. */
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
 * The calling thread, one of the library's, does not keep the process alive.  It must never return.
 */
void tri_not_counted(void)
{
	__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
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
	/* Other threads of ours sleep. */
	syscall(SYS_exit_group, raw ? status : 0);
}
