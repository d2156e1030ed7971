// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_keeper.c - the process that tidies up after a `tricolor run`
 *
 * A cgroup, a folder and a collector have to be removed when the last of the program's children has
 * ended.  That may be long after the program's end and ours, and we may be killed before.  So
 * another process, in a session of its own, waits for our end from the beginning: it reads a pipe
 * whose other end only we have.  It keeps none of the files open that were given to us, so nobody
 * who waits for the end of our output waits for it.
 */
#include "run_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "complain.h"

static __attribute__((noreturn)) void keep(struct run_group *g, struct run_collector *c, int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char tidy;
	ssize_t n;

	setsid();
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	run_collector_only(c, fd);
	if (chdir("/"))
		_exit(EXIT_OURS);
	do
		n = read(fd, &tidy, 1);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		_exit(0);
	if (g->dir[0])
		run_group_wait_empty(g);
	if (!run_collector_release(c))
		run_collector_wait(c);
	run_collector_clean(c);
	if (g->dir[0])
		run_group_remove(g);
	_exit(0);
}

bool run_keeper_start(struct run_keeper *k, struct run_group *g, struct run_collector *c)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC)) {
		complain("can't make a pipe: %s", strerror(errno));
		return false;
	}
	fflush(NULL);
	k->pid = fork();
	if (k->pid == 0) {
		close(pipe_fds[1]);
		keep(g, c, pipe_fds[0]);
	}
	close(pipe_fds[0]);
	k->fd = pipe_fds[1];
	if (k->pid > 0)
		return true;
	complain("can't start a process that tidies up: %s", strerror(errno));
	close(k->fd);
	return false;
}

void run_keeper_end(struct run_keeper *k, bool tidy)
{
	if (tidy && write(k->fd, "t", 1) != 1)
		tidy = false;
	close(k->fd);
	if (tidy)
		waitpid(k->pid, NULL, 0);
}
