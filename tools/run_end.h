/* SPDX-License-Identifier: GPL-2.0-only */
/* run_end.h - what ended a program, or children of it, in a `tricolor run`: see run_end.c */
#ifndef TRICOLOR_RUN_END_H
#define TRICOLOR_RUN_END_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUN_END_LEVELS 8

/* The counters of one group. */
struct run_end_level {
	uint64_t limit_bytes;
	uint64_t kills;			/* processes that the kernel killed for memory */
	uint64_t reached;		/* times that memory.max could not be kept; v1: that the
					 * limit was reached */
};

/* The groups from the program's own upwards. */
struct run_end {
	char dir[PATH_MAX];		/* folder of the program's group; "": it can't be seen */
	unsigned int version;
	size_t mount_len;
	size_t levels;
	struct run_end_level before[RUN_END_LEVELS];
};

/**
 * Read the counters before the program runs.  @dir: the group that the program is, or will be, in;
 * "": the group of this process.
 */
void run_end_begin(struct run_end *e, const char *dir);

/**
 * The program has ended with wait status @status.  Print a message if it was killed, and for each
 * other process of its group that was, with the last figures of their heaps, which the collector at
 * @socket remembers for a while.
 */
void run_end_say(const struct run_end *e, const char *name, pid_t pid, int status,
		 const char *socket);

#endif
