// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_program.c - a program that this one stands for
 *
 *  1. The child is there before all else, so that it can be put into its cgroup while it does
 *     nothing.  It becomes the program when it is told where the collector's socket is.
 *  2. Signals that processes send us are sent on.  Those of the terminal are for all processes in
 *     the foreground, so the program has had them itself: the kernel says which ones these are
 *     (si_code). Stopping and going on is not passed on; from a terminal it reaches both.
 *  3. We end as a shell does: with its status, or 128 and the signal's number.  After SIGINT we die
 *     of it, too: a script that was interrupted is to end.
 */
#include "run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "complain.h"

/*
 * Signals that are not passed on: those that the kernel sends for our own faults, those that stop a
 * process, and those that can't be blocked.
 */
static const int not_passed[] = {
	SIGKILL, SIGSTOP, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGSEGV,
	SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPIPE,
};

static void watched(sigset_t *set)
{
	size_t i;

	sigfillset(set);
	for (i = 0; i < sizeof(not_passed) / sizeof(not_passed[0]); i++)
		sigdelset(set, not_passed[i]);
}

void run_program_block_signals(sigset_t *old)
{
	sigset_t set;

	watched(&set);
	sigprocmask(SIG_BLOCK, &set, old);
	/* If who started us had it ignored, the kernel would not send it. */
	signal(SIGCHLD, SIG_DFL);
}

error_t run_program_option(int key, struct argp_state *state, char ***program)
{
	if (key == ARGP_KEY_NO_ARGS)
		argp_error(state, "which program?");
	else if (key != ARGP_KEY_ARGS)
		return ARGP_ERR_UNKNOWN;
	*program = state->argv + state->next;
	return 0;
}

static __attribute__((noreturn)) void become(const struct run_program *p, char **argv,
					     const sigset_t *mask, int go, int failed)
{
	char socket[128];
	size_t n = 0;
	ssize_t got;
	int err;

	while (n < sizeof(socket) - 1 && (got = read(go, socket + n, sizeof(socket) - 1 - n)) > 0)
		n += (size_t)got;
	socket[n] = 0;
	if (!n)
		_exit(EXIT_OURS);
	if (*socket)
		setenv("TRICOLOR_SOCKET", socket, 1);
	if (p->own_gc_percent)
		unsetenv("TRICOLOR_GC_PERCENT");
	if (p->own_memory_limit)
		unsetenv("TRICOLOR_MEMORY_LIMIT");
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	err = errno;
	if (write(failed, &err, sizeof(err)) < 0)
		_exit(EXIT_OURS);
	_exit(EXIT_NOT_FOUND);
}

bool run_program_fork(struct run_program *p, char **argv, const sigset_t *mask)
{
	int go[2], failed[2];

	if (pipe2(go, O_CLOEXEC))
		goto fail;
	if (pipe2(failed, O_CLOEXEC)) {
		close(go[0]);
		close(go[1]);
		goto fail;
	}
	p->pid = fork();
	if (p->pid == 0) {
		close(go[1]);
		become(p, argv, mask, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	p->go_fd = go[1];
	p->failed_fd = failed[0];
	if (p->pid > 0)
		return true;
	close(go[1]);
	close(failed[0]);
fail:
	complain("can't start a process for %s: %s", argv[0], strerror(errno));
	return false;
}

int run_program_go(struct run_program *p, const char *socket, const char *name)
{
	int err = 0;
	ssize_t n;

	/* The message includes the zero byte, so that an empty text is a message too. */
	if (write(p->go_fd, socket ? socket : "", socket ? strlen(socket) + 1 : 1) < 0)
		err = errno;
	close(p->go_fd);
	do
		n = read(p->failed_fd, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(p->failed_fd);
	if (!err)
		return 0;
	waitpid(p->pid, NULL, 0);
	complain("can't run %s: %s", name, strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_NO_EXEC;
}

void run_program_cancel(struct run_program *p)
{
	close(p->go_fd);
	close(p->failed_fd);
	waitpid(p->pid, NULL, 0);
}

int run_program_wait(const struct run_program *p)
{
	sigset_t set;
	siginfo_t info;
	int status;
	pid_t pid;

	watched(&set);
	for (;;) {
		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD) {
			if (info.si_code != SI_KERNEL)
				kill(p->pid, info.si_signo);
			continue;
		}
		/*
		 * This also reaps processes that became our children, as we may be an init or a
		 * subreaper.
		 */
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == p->pid)
				return status;
	}
}

void run_program_exit(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	if (WTERMSIG(status) != SIGINT)
		exit(128 + WTERMSIG(status));
	/* The program has dumped its core; a second one would be of no use. */
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	raise(WTERMSIG(status));
	/* We get here as process 1, which a signal of its own does not kill. */
	exit(128 + WTERMSIG(status));
}
