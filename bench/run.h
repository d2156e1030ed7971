/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "result.h"

struct run_options {
	int watch_memory;
	unsigned int timeout_s;
	const char *error_log;	/* gets what the program writes to its standard error */
	char *const *environment;	/* NAME=VALUE that it gets besides, up to a NULL; or NULL */
};

/* Call once, before anything is run.  It makes this process the parent of all orphans below it. */
int run_init(void);

/*
 * Run @argv, with all that it starts, to the end, and fill in @run: the key=value lines of its
 * standard output, and
 *
 *   wall_s		from its start to its end
 *   cpu_s		CPU time, user and system, of it and all its descendants
 *   helper_cpu_s	that of the other processes alone; a process that has been waited for by the
 *			program itself counts as the program
 *   peak_mib		peak memory of all of them (memory.h), with @options->watch_memory
 *   footprint_ratio	that, divided by the live_mib of a program that says how much it has
 *
 * @output: the first line of its output, for programs that have no figures; may be NULL.
 */
void run_program(char *const argv[], const struct run_options *options, struct run *run,
		 char *output, size_t output_size);

#endif
