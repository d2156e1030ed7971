/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runner.h - the thread that calls cleanups and finalizers: see runner.c */
#ifndef TRI_RUNNER_H
#define TRI_RUNNER_H

#include "../base/attributes.h"

/**
 * Start the runner, unless there is one or the program calls tri_run_finalizers().  Called outside,
 * with no lock held.  Returns 0 or a negative errno, with a sentence in tri_error().
 */
int tri_runner_ensure(void) TRI_HIDDEN;

/**
 * Take one record from the queue and call its function.  Returns 1, 0 if nothing is queued, or a
 * negative errno if the calling thread can't be attached.
 */
int tri_call_next(void) TRI_HIDDEN;

#endif
