/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - lines for the client's standard error
 *
 * The format is documented in tricolor(7).  A client that does not read its messages loses them.
 * All of it is for the arena's thread.
 */
#ifndef TRICOLOR_TRACE_H
#define TRICOLOR_TRACE_H

#include <stdbool.h>

struct arena;

/** Send a line. */
void trace_line(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Send TRICOLOR_TRACE=gc's line about the cycle that has just ended. */
void trace_cycle(struct arena *a, bool forced);

/** Send TRICOLOR_TRACE=pacer's line about goal and trigger of the next cycle. */
void trace_pacer(struct arena *a);

/** Send TRICOLOR_TRACE=scav's line about memory that is free, and that was released. */
void trace_scavenger(struct arena *a);

#endif
