// SPDX-License-Identifier: GPL-2.0-only
/* parts.c - see parts.h */
#include "parts.h"

static void run_part(const struct part *p, char **argv)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		setenv("TRICOLOR_DEBUG", p->debug, 1);
		if (p->before)
			p->before();
		alarm(60);
		execl("/proc/self/exe", argv[0], p->name, p->argument, (char *)NULL);
		_exit(126);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ksft_exit_fail_msg("can't run a part: %s\n", strerror(errno));
	if (WIFSIGNALED(status))
		ksft_print_msg("%s: ended by signal %d\n", p->name, WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		ksft_test_result_skip("%s\n", p->what);
	else
		ksft_test_result(!status, "%s\n", p->what);
}

int run_parts(const struct part *parts, unsigned int n, int argc, char **argv)
{
	unsigned int i;

	for (i = 0; argc > 1 && i < n; i++)
		if (!strcmp(argv[1], parts[i].name))
			return !parts[i].run();
	ksft_print_header();
	ksft_set_plan(n);
	for (i = 0; i < n; i++)
		run_part(&parts[i], argv);
	ksft_finished();
}
