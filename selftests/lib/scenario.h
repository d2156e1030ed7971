/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scenario.h - parts of a test, each in a process of its own
 *
 * A scenario begins in a process without a heap, to which it may do anything.  It says by its exit
 * status whether all went well.
 */
#ifndef TRICOLOR_SELFTESTS_SCENARIO_H
#define TRICOLOR_SELFTESTS_SCENARIO_H

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

/* Print what does not hold, and return false.  For functions that return whether all went well. */
#define CHECK(what)							\
	do {								\
		if (!(what)) {						\
			ksft_print_msg("not so: %s\n", #what);		\
			return false;					\
		}							\
	} while (0)

/** What the process ended with, or 0xdead. */
int status_of(pid_t pid);

/** Whether @fn() is true in a process of its own. */
bool scenario(bool (*fn)(void));

/** The same with an argument. */
bool scenario_with(bool (*fn)(int), int arg);

/* One of the scenarios of a test.  It has @fn, or @with, which is called with @arg. */
struct scenario {
	const char *name;
	bool (*fn)(void);
	bool (*with)(int arg);
	int arg;
};

/**
 * Run @n scenarios and end the test.  With arguments, run those whose name contains one of them:
 * argv[1], ...
 */
void scenarios_run(const struct scenario *all, size_t n, int argc, char **argv)
	__attribute__((noreturn));

#endif
