// SPDX-License-Identifier: GPL-2.0-only
/* check.c - see check.h */
#include "check.h"

#define PRINTED_MAX 10

unsigned int check_failures;

void check_failed(int line, const char *condition)
{
	if (check_failures++ < PRINTED_MAX)
		ksft_print_msg("line %d: %s\n", line, condition);
}

void result(const char *name)
{
	ksft_test_result(!check_failures, "%s\n", name);
	check_failures = 0;
}
