/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * check.h - a test is a function: check() says which line disappointed it, result() closes it
 */
#ifndef TRICOLOR_SELFTESTS_CHECK_H
#define TRICOLOR_SELFTESTS_CHECK_H

#include "kselftest.h"

#define CHECKS_TOLD 10			/* lines about failures of one test; they may be in a loop */

static unsigned int failures;

#define check(condition)						\
	do {								\
		if (!(condition) && failures++ < CHECKS_TOLD)		\
			ksft_print_msg("line %d: %s\n", __LINE__, #condition); \
	} while (0)

static void result(const char *name)
{
	ksft_test_result(!failures, "%s\n", name);
	failures = 0;
}

#endif
