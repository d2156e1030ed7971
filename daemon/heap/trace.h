/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - lines for the client's standard error
 *
 * The format is documented in tricolor(7).  A client that does not read its messages loses them.
 * The arena's thread.
 */
#ifndef TRICOLOR_TRACE_H
#define TRICOLOR_TRACE_H

#include <stdbool.h>

struct arena;

/** Send a line. */
void trace_line(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** TRICOLOR_TRACE=gc: the cycle that has just ended. */
void trace_cycle(struct arena *a, bool forced);

/** TRICOLOR_TRACE=pacer: how the next cycle was set up. */
void trace_pacer(struct arena *a);

/** TRICOLOR_TRACE=scav: what there is to release, and what has been. */
void trace_scavenger(struct arena *a);

#endif
