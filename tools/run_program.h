/* SPDX-License-Identifier: GPL-2.0-only */
/* run_program.h - a program that this one stands for: its signals, its exit status */
#ifndef TRICOLOR_RUN_PROGRAM_H
#define TRICOLOR_RUN_PROGRAM_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct run_program {
	pid_t pid;
	int go_fd;			/* the child reads the collector's socket from it, and
					 * goes */
	int failed_fd;			/* its errno, if it could not */
	bool own_gc_percent, own_memory_limit;	/* chosen by us: not the environment's */
};

/**
 * Of a parser for argp: the arguments are a program and its own.  ARGP_ERR_UNKNOWN: @key is
 * something else.
 */
error_t run_program_option(int key, struct argp_state *state, char ***program);

/** Block the signals that are passed on.  @old: as it was, for the program and the collector. */
void run_program_block_signals(sigset_t *old);

/** A child that waits, and will be @argv.  False: what stood in the way was said. */
bool run_program_fork(struct run_program *p, char **argv, const sigset_t *mask);

/**
 * Let it go, with @socket as TRICOLOR_SOCKET; NULL: the environment's.  0, or the exit status for
 * why it could not: that was said.
 */
int run_program_go(struct run_program *p, const char *socket, const char *name);

/** It is not to go. */
void run_program_cancel(struct run_program *p);

/** Pass signals on until it has ended.  Returns its wait status. */
int run_program_wait(const struct run_program *p);

/** End as the program did. */
void run_program_exit(int status) __attribute__((noreturn));

#endif
