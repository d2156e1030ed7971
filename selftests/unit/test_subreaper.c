// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_subreaper.c - selftests/mutants/subreaper.c: what a program starts ends with it
 *
 * Every process of the program inherits the end of a pipe.  Who reads from the pipe finds its end
 * when the last of them is gone.
 */
#include "lib/process.h"

/* Starts a process in a session of its own, without a parent, that ignores what asks it to end. */
#define LEAVE_ONE "trap '' TERM HUP INT; setsid -f sleep 10000; trap - TERM HUP INT; "

static int pipe_fds[2];

static pid_t start(const char *seconds, const char *program, const char *command)
{
	char path[512];
	pid_t pid;

	built_path("/tests/subreaper", path, sizeof(path));
	if (pipe2(pipe_fds, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		execl(path, path, seconds, program, "-c", command, NULL);
		_exit(99);
	}
	close(pipe_fds[1]);
	return pid;
}

/* What the subreaper ends with.  A process that outlived it would keep this from returning. */
static int end_of(pid_t pid)
{
	int status = wait_status(pid);
	char c;

	while (read(pipe_fds[0], &c, 1) == 1)
		;
	close(pipe_fds[0]);
	return status;
}

static int run(const char *seconds, const char *program, const char *command)
{
	return end_of(start(seconds, program, command));
}

int main(void)
{
	pid_t pid;
	char c;

	ksft_print_header();
	ksft_set_plan(6);
	ksft_test_result(run("600", "sh", "exit 7") == 7, "a program's status is passed on\n");
	ksft_test_result(run("600", "sh", "kill -KILL $$") == 128 + SIGKILL,
			 "and the signal that ended it\n");
	ksft_test_result(run("600", "/nonexistent/program", "") == 125,
			 "a program that can't be run\n");
	ksft_test_result(run("600", "sh", LEAVE_ONE LEAVE_ONE "exit 3") == 3,
			 "what a program leaves behind is ended\n");
	ksft_test_result(run("1", "sh", LEAVE_ONE "exec sleep 10000") == 124,
			 "a program that hangs is ended with all that it started\n");
	pid = start("600", "sh", LEAVE_ONE "echo; exec sleep 10000");
	if (read(pipe_fds[0], &c, 1) != 1)
		ksft_exit_fail_msg("nothing was started\n");
	kill(pid, SIGTERM);
	ksft_test_result(end_of(pid) == 128 + SIGTERM,
			 "a subreaper that is told to end ends them, too\n");
	ksft_finished();
}
