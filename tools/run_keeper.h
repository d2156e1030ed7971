/* SPDX-License-Identifier: GPL-2.0-only */
/* run_keeper.h - the process that tidies up after a `tricolor run`: see run_keeper.c */
#ifndef TRICOLOR_RUN_KEEPER_H
#define TRICOLOR_RUN_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "run_collector.h"
#include "run_group.h"

struct run_keeper {
	pid_t pid;
	int fd;				/* at its end when we are */
};

/** False: there is none, and what stood in the way was said. */
bool run_keeper_start(struct run_keeper *k, struct run_group *g, struct run_collector *c);

/** Our work is done; @tidy: and nothing is left.  Otherwise it stays until nothing is. */
void run_keeper_end(struct run_keeper *k, bool tidy);

#endif
