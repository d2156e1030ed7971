/* SPDX-License-Identifier: GPL-2.0-only */
/* shared.h - the life of a collector that serves whoever connects */
#ifndef TRICOLOR_SHARED_H
#define TRICOLOR_SHARED_H

#include "daemon/process/config.h"
#include "options.h"

/** Block the signals that shared_run() reads.  Before there are threads: one would die of them. */
void shared_block_signals(void);

/** Listen and serve until a signal says to stop.  Returns the exit status. */
int shared_run(const struct options *o, struct config *c);

#endif
