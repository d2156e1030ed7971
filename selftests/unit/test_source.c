// SPDX-License-Identifier: GPL-2.0-only
/* test_source.c - which of the functions that called each other a store is blamed on */
#include <stdio.h>
#include <string.h>

#include "kselftest.h"
#include "tools/source.h"

#define PROGRAM "/home/somebody/program"
#define SOURCE "/home/somebody/program.c"

/* Whether the second of two frames is blamed, whose file is the program's own. */
static bool is_passed_over(const char *module, const char *file)
{
	static struct source_frame frames[2];

	memset(frames, 0, sizeof(frames));
	snprintf(frames[0].module, sizeof(frames[0].module), "%s", module);
	snprintf(frames[0].file, sizeof(frames[0].file), "%s", file);
	snprintf(frames[1].module, sizeof(frames[1].module), "%s", PROGRAM);
	snprintf(frames[1].file, sizeof(frames[1].file), "%s", SOURCE);
	return source_blame(frames, 2) == &frames[1];
}

static bool is_in_folders(const char *header)
{
	static const char *const folders[] = { "/usr/local/include/", "/opt/tricolor/include/",
					       "/home/somebody/libclient/include/" };
	char file[256];
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(file, sizeof(file), "%s%s", folders[i], header);
		if (!is_passed_over(PROGRAM, file))
			return false;
	}
	return true;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(6);
	ksft_test_result(!is_passed_over(PROGRAM, SOURCE), "a function of the program's own file\n");
	ksft_test_result(is_passed_over("/lib/x86_64-linux-gnu/libc.so.6", ""),
			 "not the C library\n");
	ksft_test_result(is_passed_over(PROGRAM, "/usr/include/c++/12/bits/stl_vector.h"),
			 "not a header of the system\n");
	ksft_test_result(is_in_folders("tricolor.h"), "not tricolor.h, wherever it is\n");
	ksft_test_result(is_in_folders("tricolor/inline.h"), "nor what it includes\n");
	ksft_test_result(!is_passed_over(PROGRAM, "/home/somebody/inline.h"),
			 "but a header of the program's with that name\n");
	ksft_finished();
}
