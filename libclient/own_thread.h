/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* own_thread.h - threads of the library's own, beside those of the program */
#ifndef TRICOLOR_OWN_THREAD_H
#define TRICOLOR_OWN_THREAD_H

#include <stdbool.h>
#include <stddef.h>

#include "attributes.h"

/**
 * Start a detached thread that runs @fn(NULL), with @stack_bytes of stack for itself.  No signal of
 * the program is handled on it.  @attached: it runs code of the program, and so must handle the
 * library's own signals.  Returns 0 or an errno.
 */
int tri_own_thread_start(void *(*fn)(void *arg), size_t stack_bytes, bool attached) TRI_HIDDEN;

#endif
