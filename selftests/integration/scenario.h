/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scenario.h - parts of a test, each in a process of its own
 *
 * A scenario begins in a process without a heap, and may do to it what it likes: it says by its exit status whether
 * all went well.
 */
#ifndef TRICOLOR_SELFTESTS_SCENARIO_H
#define TRICOLOR_SELFTESTS_SCENARIO_H

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

/* In a function that returns whether all went well. */
#define CHECK(what)							\
	do {								\
		if (!(what)) {						\
			ksft_print_msg("not so: %s\n", #what);		\
			return false;					\
		}							\
	} while (0)

/* What the process ended with, or 0xdead. */
static inline int status_of(pid_t pid)
{
	int status;

	while (pid < 0 || waitpid(pid, &status, 0) != pid)
		if (pid < 0 || errno != EINTR)
			return 0xdead;
	return status;
}

/* Whether this is the process of the scenario: a child, in which all else is to happen; the parent ends it. */
static inline bool scenario_begin(pid_t *pid)
{
	*pid = fork();
	if (!*pid)
		alarm(60);
	return !*pid;
}

/* Whether the scenario of @pid went well; it says what it ended with otherwise. */
static inline bool scenario_end(pid_t pid)
{
	int status = status_of(pid);

	if (status)
		ksft_print_msg("the scenario ended with wait status %#x\n", (unsigned int)status);
	return !status;
}

static inline bool scenario(bool (*fn)(void))
{
	pid_t pid;

	if (scenario_begin(&pid))
		_exit(fn() ? 0 : 1);
	return scenario_end(pid);
}

static inline bool scenario_with(bool (*fn)(int), int arg)
{
	pid_t pid;

	if (scenario_begin(&pid))
		_exit(fn(arg) ? 0 : 1);
	return scenario_end(pid);
}

#endif
