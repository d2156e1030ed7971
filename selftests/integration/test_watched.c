// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_watched.c - where a heap would not work it says so, at once
 *
 * This program has a symbol that those with the thread sanitizer have.
 */
#include "lib/witness.h"

void __tsan_init(void);
void __tsan_init(void)
{
}

static bool is_refused(const char *because)
{
	struct tri_options options = { .size = sizeof(options) };

	errno = 0;
	return tri_init(&options) == -ENOTSUP && strstr(tri_error(), because) && !tri_alloc(16) &&
	       errno == ENOTSUP;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(2);
	ksft_test_result(is_refused("-fsanitize=thread"), "a program with the thread sanitizer\n");
	setenv("RUNNING_UNDER_RR", "1", 1);
	ksft_test_result(is_refused("rr can't record"), "a program in rr\n");
	ksft_finished();
}
