/* SPDX-License-Identifier: GPL-2.0-only */
/* target.h - "ID or PID" on a command line, and a request about it */
#ifndef TRICOLOR_TARGET_H
#define TRICOLOR_TARGET_H

#include "collector.h"

/**
 * Find the arena that @text names, of any collector or of the one at @socket, and send request @op
 * about it.  Returns 0 with @answer filled in, or 1 after an error message.
 * @text: COLLECTOR.NUMBER as `tricolor list` prints it, or the PID of a process.
 */
int target_ask(const char *socket, const char *text, enum control_op op, int64_t value,
	       struct arena_of *answer);

#endif
