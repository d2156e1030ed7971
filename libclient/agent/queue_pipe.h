/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* queue_pipe.h - the descriptor of tri_finalizer_fd(): see queue_pipe.c */
#ifndef TRI_QUEUE_PIPE_H
#define TRI_QUEUE_PIPE_H

#include <stdint.h>

#include "../base/attributes.h"

/**
 * A new descriptor that can be read while something is queued.  Called outside, in any thread, with
 * an agent.  The caller owns it.  Returns a negative errno with a sentence in tri_error() if it
 * can't be had until @until_ns.
 */
int tri_queue_pipe_open(uint64_t until_ns) TRI_HIDDEN;

/** Agent: bring the pipe into agreement with the queue, if there is one or one is wanted. */
void tri_queue_pipe_update(void) TRI_HIDDEN;

/** In the child of a fork(). */
void tri_queue_pipe_reset(void) TRI_HIDDEN;

#endif
