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
	int fd;				/* a pipe, whose end of file tells the keeper that we have
					 * ended */
};

/** Start it.  False: an error message was printed. */
bool run_keeper_start(struct run_keeper *k, struct run_group *g, struct run_collector *c);

/**
 * This process is about to end.  @tidy: everything has been removed already; otherwise the keeper
 * removes the rest when nobody uses it any more.
 */
void run_keeper_end(struct run_keeper *k, bool tidy);

#endif
