// SPDX-License-Identifier: GPL-2.0-only
/* test_commands.c - the table of subcommands, and how figures are shown */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/command.h"
#include "kselftest.h"
#include "tools/show.h"

static void test_table(void)
{
	const struct command *c, *d;
	unsigned int wrong = 0, n = 0;

	for (c = commands; c->name; c++, n++) {
		wrong += command_find(c->name) != c || !c->summary || !c->run;
		for (d = commands; d < c; d++)
			wrong += !strcmp(c->name, d->name);
	}
	ksft_test_result(n == 7 && !wrong, "%u commands, each found by its name\n", n);
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

/* What is printed of @a, all three ways, one after the other. */
static const char *shown(const struct arena_of *a)
{
	static char text[16384];
	FILE *file = tmpfile();
	int out = dup(1);
	size_t n;

	fflush(stdout);
	if (!file || out < 0 || dup2(fileno(file), 1) < 0)
		ksft_exit_fail_msg("no temporary file\n");
	show_table(a, 1);
	show_arena(a);
	show_arena_json(a);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = 0;
	fclose(file);
	return text;
}

static bool shows(const struct arena_of *a, const char *list, const char *stat, const char *json)
{
	const char *text = shown(a);

	if (strstr(text, list) && strstr(text, stat) && strstr(text, json))
		return true;
	ksft_print_msg("%s\n", text);
	return false;
}

static void test_marker(void)
{
	struct arena_of a = { .id = "45.1",
			      .collector_pid = 45,
			      .arena = { .pid = 9, .limit_bytes = INT64_MAX } };

	ksft_test_result(shows(&a, " shared  starting\n", "the shared collector\n",
			       "\"marked_by\": \"shared\""),
			 "who marks: a shared collector\n");
	a.arena.marker_pid = 123;
	ksft_test_result(shows(&a, "    123  starting\n", "marker 123 of policy 45\n",
			       "\"marker_pid\": 123") &&
				 shows(&a, "", "", "\"policy_pid\": 45"),
			 "a marker, says its policy\n");
	a.arena.marker_pid = 0;
	a.is_private = true;
	ksft_test_result(shows(&a, " private  starting\n", "its private collector\n",
			       "\"policy_pid\": null"),
			 "a private collector\n");
	a.is_linked = true;
	a.arena.policy_pid = 7;
	ksft_test_result(shows(&a, "     45  starting\n", "marker 45 of policy 7\n",
			       "\"policy_pid\": 7"),
			 "a marker, says it itself\n");
	a.arena.policy_pid = 0;
	ksft_test_result(shows(&a, "     45  starting\n", "of a policy in another namespace\n",
			       "\"policy_pid\": null"),
			 "or a marker of who is in another namespace\n");
}

/* Whatever the collector's own limit is. */
static void test_held(void)
{
	struct arena_of a = { .id = "45.1",
			      .collector_pid = 45,
			      .arena = { .pid = 9, .limit_bytes = INT64_MAX } };

	ksft_test_result(!strstr(shown(&a), "held back") &&
				 shows(&a, " - ", "", "\"throttled\": 0"),
			 "no thread was held back\n");
	a.arena.throttled = 3;
	a.arena.throttled_ns = 1500000000;
	a.arena.throttled_max_ns = 900000000;
	ksft_test_result(shows(&a, " 1.5 s ", "3 allocations, 1.5 s in all, 900.0 ms the longest\n",
			       "\"throttled_ns\": 1500000000"),
			 "some were\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(10);
	test_table();
	test_bytes();
	test_marker();
	test_held();
	ksft_finished();
}
