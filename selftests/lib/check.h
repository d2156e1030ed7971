/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * check.h - for tests that are functions: check() names each line whose condition fails, result()
 * reports the test
 */
#ifndef TRICOLOR_SELFTESTS_CHECK_H
#define TRICOLOR_SELFTESTS_CHECK_H

#include "kselftest.h"

extern unsigned int check_failures;	/* since the last result() */

/* After a failure the test goes on. */
#define check(condition)						\
	do {								\
		if (!(condition))					\
			check_failed(__LINE__, #condition);		\
	} while (0)

/** Count a failure.  Only the first ten of a test are printed, as there may be many in a loop. */
void check_failed(int line, const char *condition);

/** Report the test @name: it has passed if there was no failure. */
void result(const char *name);

#endif
