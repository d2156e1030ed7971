// SPDX-License-Identifier: GPL-2.0-only
/* test_commands.c - the table of subcommands, and what the command prints sizes as */
#include <string.h>

#include "command.h"
#include "kselftest.h"
#include "show.h"

static void test_table(void)
{
	const struct command *c, *d;
	unsigned int wrong = 0, n = 0;

	for (c = commands; c->name; c++, n++) {
		wrong += command_find(c->name) != c || !c->summary || !c->run;
		for (d = commands; d < c; d++)
			wrong += !strcmp(c->name, d->name);
	}
	ksft_test_result(n == 6 && !wrong, "%u commands, each found by its name\n", n);
	ksft_test_result(!command_find("") && !command_find("lis") && !command_find("listt") &&
			 !command_find("LIST"), "and by no other\n");
}

static void test_bytes(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 KiB" }, { 1024, "1 KiB" }, { 999 << 10, "999 KiB" }, { 1 << 20, "1.0 MiB" },
		{ 1536 << 10, "1.5 MiB" }, { 5ull << 30, "5.0 GiB" }, { 1ull << 40, "1.0 TiB" },
		{ UINT64_MAX, "off" }, { INT64_MAX, "off" }, { UINT64_MAX - 1, "16384.0 PiB" },
	};
	unsigned int wrong = 0;
	char text[32];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (!strcmp(show_bytes(sizes[i].bytes, text), sizes[i].text))
			continue;
		ksft_print_msg("%s, not %s\n", text, sizes[i].text);
		wrong++;
	}
	ksft_test_result(!wrong, "sizes as people read them\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(3);
	test_table();
	test_bytes();
	ksft_finished();
}
