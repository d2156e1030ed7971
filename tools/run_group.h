/* SPDX-License-Identifier: GPL-2.0-only */
/* run_group.h - a memory cgroup for one program and its children */
#ifndef TRICOLOR_RUN_GROUP_H
#define TRICOLOR_RUN_GROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct run_group {
	char dir[PATH_MAX];		/* "": there is none */
	unsigned int version;		/* of cgroups: 1 or 2 */
	char why[256];			/* why there is no group */
};

/** Make a group below our own (or beside it: see run_group.c) with a limit.  False: g->why. */
bool run_group_make(struct run_group *g, const char *root, uint64_t limit_bytes);

/** Move @pid there.  False: g->why. */
bool run_group_add(struct run_group *g, pid_t pid);

/** Wait until no process is left in it. */
void run_group_wait_empty(const struct run_group *g);

bool run_group_is_empty(const struct run_group *g);

/** Remove it.  False: g->why. */
bool run_group_remove(struct run_group *g);

#endif
