/* SPDX-License-Identifier: GPL-2.0-only */
/* run_program.h - running a program with this process in its place for signals and exit status */
#ifndef TRICOLOR_RUN_PROGRAM_H
#define TRICOLOR_RUN_PROGRAM_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct run_program {
	pid_t pid;
	int go_fd;			/* a pipe from which the child reads the path of the
					 * collector's socket; it starts then */
	int failed_fd;			/* a pipe with the child's errno, if it could not execute
					 * the program */
	bool own_gc_percent, own_memory_limit;	/* the command line has chosen one: the
						 * environment's is not used */
};

/**
 * For a parser of argp whose arguments are a program and the program's own arguments.
 * ARGP_ERR_UNKNOWN: @key is neither.
 */
error_t run_program_option(int key, struct argp_state *state, char ***program);

/** Block the signals that are passed on.  @old: as it was, for the program and the collector. */
void run_program_block_signals(sigset_t *old);

/** Fork a child that waits, and will execute @argv.  False: an error message was printed. */
bool run_program_fork(struct run_program *p, char **argv, const sigset_t *mask);

/**
 * Have the child execute the program, with @socket as TRICOLOR_SOCKET; NULL: that of the
 * environment.  Returns 0; or, after an error message, the exit status that stands for the error.
 */
int run_program_go(struct run_program *p, const char *socket, const char *name);

/** End the child without executing the program. */
void run_program_cancel(struct run_program *p);

/** Pass signals on until the child has ended.  Returns its wait status. */
int run_program_wait(const struct run_program *p);

/** End as the program did. */
void run_program_exit(int status) __attribute__((noreturn));

#endif
