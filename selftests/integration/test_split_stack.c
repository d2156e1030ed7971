// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_split_stack.c - a program with split stacks is refused in words
 *
 * What gives such a program away is a function that gcc's run-time library brings, and that
 * this one has.
 */
#include "kselftest.h"
#include "tricolor.h"

#include <errno.h>
#include <string.h>

void *__splitstack_find(void);

void *__splitstack_find(void)
{
	return NULL;
}

int main(void)
{
	int err;

	ksft_print_header();
	ksft_set_plan(2);
	err = tri_init(NULL);
	ksft_print_msg("%s\n", tri_error());
	ksft_test_result(err == -ENOTSUP && strstr(tri_error(), "-fsplit-stack"), "refused\n");
	ksft_test_result(!tri_alloc(16), "no heap\n");
	ksft_finished();
}
