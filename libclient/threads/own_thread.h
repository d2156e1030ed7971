/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * own_thread.h - the library's own threads, beside those of the program
 *
 * tasks.c tells them from the program's threads, so their IDs are in one table.  The agent's ID is
 * in tri_g.agent_tid.
 */
#ifndef TRICOLOR_OWN_THREAD_H
#define TRICOLOR_OWN_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

/* The threads beside the agent.  There is at most one of each. */
enum tri_own_thread {
	TRI_OWN_MAIN_WATCH,		/* waits for the end of the main thread: lastwatch.c */
	TRI_OWN_PRESSURE,		/* calls the function of tri_on_pressure(): on_pressure.c */
	TRI_OWN_RUNNER,			/* calls cleanups and finalizers: runner.c */
	TRI_OWN_CONNECT,		/* looks up the shared collector's path: async_connect.c */
	TRI_OWN_THREADS
};

/*
 * Their thread IDs; 0: there is no such thread.  Each word is a futex.  It is written when the
 * thread begins, by the thread or by the kernel.  The kernel clears it when the connecting thread
 * ends.  The first two threads end with the process, and the third one clears its own.
 */
extern tri_au32 tri_own_tids[TRI_OWN_THREADS] TRI_HIDDEN;

static inline pid_t tri_own_tid(enum tri_own_thread which)
{
	/* Acquire: pairs with the release of the thread that writes it. */
	return (pid_t)tri_read_acquire(&tri_own_tids[which]);
}

/**
 * Start a detached thread that runs @fn(NULL), with @stack_bytes of stack for itself.  No signal of
 * the program is handled on it.  @attached: it runs code of the program, and so must handle the
 * library's own signals.  Returns 0 or an errno.
 */
int tri_own_thread_start(void *(*fn)(void *arg), size_t stack_bytes, bool attached) TRI_HIDDEN;

/** In the child of a fork(), which has none of them. */
void tri_own_threads_reset(void) TRI_HIDDEN;

#endif
