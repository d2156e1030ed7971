// SPDX-License-Identifier: GPL-2.0-only
/* scenario.c - see scenario.h */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

int status_of(pid_t pid)
{
	int status;

	while (pid < 0 || waitpid(pid, &status, 0) != pid)
		if (pid < 0 || errno != EINTR)
			return 0xdead;
	return status;
}

#define STATUS_EARLY 98

static pid_t own_pid;

/* A scenario ends by _exit().  If something has called exit(0) before, not all was tested. */
static void ends_early(void)
{
	if (getpid() == own_pid)
		_exit(STATUS_EARLY);
}

/* Fork.  Returns true in the child, in which the scenario runs, and which the parent waits for. */
static bool scenario_begin(pid_t *pid)
{
	*pid = fork();
	if (!*pid) {
		own_pid = getpid();
		if (atexit(ends_early))
			_exit(STATUS_EARLY);
		alarm(60);
	}
	return !*pid;
}

/* Whether the scenario of @pid went well; if not, print how it ended. */
static bool scenario_end(pid_t pid)
{
	int status = status_of(pid);

	if (status)
		ksft_print_msg("the scenario ended with wait status %#x\n", (unsigned int)status);
	return !status;
}

bool scenario(bool (*fn)(void))
{
	pid_t pid;

	if (scenario_begin(&pid))
		_exit(fn() ? 0 : 1);
	return scenario_end(pid);
}

bool scenario_with(bool (*fn)(int), int arg)
{
	pid_t pid;

	if (scenario_begin(&pid))
		_exit(fn(arg) ? 0 : 1);
	return scenario_end(pid);
}

static bool is_chosen(const struct scenario *s, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(s->name, argv[i]))
			return true;
	return argc < 2;
}

void scenarios_run(const struct scenario *all, size_t n, int argc, char **argv)
{
	unsigned int chosen = 0;
	size_t i;

	for (i = 0; i < n; i++)
		chosen += is_chosen(&all[i], argc, argv);
	ksft_print_header();
	if (!chosen)
		ksft_exit_fail_msg("no scenario has such a name\n");
	ksft_set_plan(chosen);
	for (i = 0; i < n; i++)
		if (is_chosen(&all[i], argc, argv))
			ksft_test_result(all[i].fn ? scenario(all[i].fn) :
						     scenario_with(all[i].with, all[i].arg),
					 "%s\n", all[i].name);
	ksft_finished();
}
