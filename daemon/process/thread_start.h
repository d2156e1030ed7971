/* SPDX-License-Identifier: GPL-2.0-only */
/* thread_start.h - starting threads that nobody waits for */
#ifndef TRICOLOR_THREAD_START_H
#define TRICOLOR_THREAD_START_H

#include <stddef.h>

/**
 * Start a detached thread with a stack of @stack_bytes.  Returns 0 or an errno.
 * @name: at most 15 characters, for a thread that does not end by itself; NULL: the name of the
 * thread that starts it.
 */
int thread_start(void *(*fn)(void *arg), void *arg, size_t stack_bytes, const char *name);

#endif
