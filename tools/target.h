/* SPDX-License-Identifier: GPL-2.0-only */
/* target.h - "ID or PID" on a command line, and a request about it */
#ifndef TRICOLOR_TARGET_H
#define TRICOLOR_TARGET_H

#include "collector.h"

/**
 * Find the arena that @text names, on any collector or that at @socket, and ask for @op about it.
 * Returns 0 with @answer filled in, or 1: what is wrong was said.
 * @text: COLLECTOR.NUMBER as `tricolor list` prints it, or the PID of a process.
 */
int target_ask(const char *socket, const char *text, enum control_op op, int64_t value,
	       struct arena_of *answer);

#endif
