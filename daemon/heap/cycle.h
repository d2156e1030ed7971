/* SPDX-License-Identifier: GPL-2.0-only */
/* cycle.h - one collection cycle of one arena: see cycle.c */
#ifndef TRICOLOR_CYCLE_H
#define TRICOLOR_CYCLE_H

#include <stdbool.h>

struct arena;

/**
 * Run a cycle to its end.  @forced: it was asked for, or there was none for two minutes.  False:
 * the client is gone, or the cycle can't be trusted.  Then the caller closes the connection, and
 * the client's agent goes on as after the death of a collector.
 */
bool cycle_run(struct arena *a, bool forced);

#endif
