// SPDX-License-Identifier: GPL-2.0-only
/* collector.c - a tricolord that the bench's clients share */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits.h"

static bool listens(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ok = fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (fd >= 0)
		close(fd);
	return ok;
}

pid_t collector_start(const char *build, const char *path)
{
	char program[512];
	char *argv[] = { program, (char *)"--socket", (char *)path, NULL };
	uint64_t end = now_ns() + 10 * SECOND;
	posix_spawn_file_actions_t files;
	extern char **environ;
	pid_t pid = -1;

	snprintf(program, sizeof(program), "%s/sbin/tricolord", build);
	unlink(path);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, program, &files, NULL, argv, environ))
		pid = -1;
	posix_spawn_file_actions_destroy(&files);
	while (pid > 0 && !listens(path) && now_ns() < end)
		usleep(1000);
	return pid;
}

void collector_end(pid_t pid, const char *path)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	unlink(path);
}
