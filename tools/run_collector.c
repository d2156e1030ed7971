// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_collector.c - a collector for the length of one `tricolor run`
 *
 * The collector has a session of its own, so that the terminal's signals do not reach it.  It tells
 * us by READY=1 (notify.c) that it listens.  It holds one end of a socket pair whose other end is
 * ours.  When we have ended, in whatever way, it reads the end of file there, and stops with its
 * last client.
 */
#include "run_collector.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "complain.h"
#include "core/proto/socket.h"
#include "core/system/daemon_path.h"

#define SETTINGS_MAX 16
#define UNTIL_FD 3

static bool make_folder(struct run_collector *c)
{
	const char *const places[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!places[i] || *places[i] != '/' ||
		    snprintf(c->folder, sizeof(c->folder), "%s/tricolor-run.XXXXXX", places[i]) >=
		    (int)sizeof(c->folder))
			continue;
		/* mkdtemp() makes it with mode 0700: nobody else may enter it. */
		if (mkdtemp(c->folder)) {
			snprintf(c->socket, sizeof(c->socket), "%s/" TRI_SOCKET_NAME, c->folder);
			return true;
		}
	}
	complain("can't make a folder for the collector's socket in /tmp: %s", strerror(errno));
	c->folder[0] = 0;
	return false;
}

/*
 * The collector's program: TRICOLOR_DAEMON, else the one in the same tree as this program (bin/ and
 * sbin/), else the configured one.
 */
static void find_daemon(char *path, size_t room)
{
	const char *given = getenv("TRICOLOR_DAEMON");
	char self[256];
	ssize_t n;

	if (given && *given) {
		snprintf(path, room, "%s", given);
		return;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = 0;
		if (tri_daemon_beside(self, path, room) && !access(path, X_OK))
			return;
	}
	snprintf(path, room, "%s", tri_daemon_installed());
}

static __attribute__((noreturn)) void exec_daemon(const struct run_collector *c, const char *path,
						  const char *const *settings, int until,
						  const sigset_t *mask)
{
	const char *argv[SETTINGS_MAX + 10] = {
		"tricolord", "--config", "/dev/null", "--log-level", "warning",
		"--socket",  c->socket,	 "--until",   "3",
	};
	size_t n = 9;
	int null = open("/dev/null", O_RDWR);

	while (*settings && n < SETTINGS_MAX + 9)
		argv[n++] = *settings++;
	setsid();
	sigprocmask(SIG_SETMASK, mask, NULL);
	setenv("NOTIFY_SOCKET", c->notify, 1);
	/*
	 * This variable is meant for the program.  It may name a FIFO, of which only one process
	 * gets what is written.
	 */
	unsetenv("MEMORY_PRESSURE_WATCH");
	dup2(null, 0);
	dup2(null, 1);
	/* The pair has the close-on-exec flag, which this descriptor must not have. */
	if (until == UNTIL_FD)
		fcntl(until, F_SETFD, 0);
	else
		dup2(until, UNTIL_FD);
	close_range(UNTIL_FD + 1, ~0u, 0);
	if (chdir("/") == 0)
		execv(path, (char *const *)argv);
	complain("can't start the collector %s: %s", path, strerror(errno));
	_exit(EXIT_OURS);
}

/* Wait until it says READY=1; false: it has ended. */
static bool wait_ready(const struct run_collector *c)
{
	struct pollfd p[2] = {
		{ .fd = c->notify_fd, .events = POLLIN },
		{ .fd = c->until_fd, .events = POLLIN },
	};
	char text[512];
	ssize_t n;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents &&
		    (n = recv(c->notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
			text[n] = 0;
			if (strstr(text, "READY=1"))
				return true;
		} else if (p[1].revents) {
			return false;
		}
	}
}

bool run_collector_start(struct run_collector *c, const char *const *settings, const sigset_t *mask)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[512];
	int pair[2] = { -1, -1 };
	bool ok = false;

	memset(c, 0, sizeof(*c));
	c->until_fd = c->notify_fd = -1;
	find_daemon(path, sizeof(path));
	if (!make_folder(c))
		return false;
	snprintf(c->notify, sizeof(c->notify), "%s/notify", c->folder);
	strcpy(addr.sun_path, c->notify);
	c->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (c->notify_fd < 0 || bind(c->notify_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		complain("can't make a socket in %s: %s", c->folder, strerror(errno));
		goto cleanup;
	}
	c->until_fd = pair[0];
	c->pid = fork();
	if (c->pid == 0)
		exec_daemon(c, path, settings, pair[1], mask);
	if (c->pid < 0) {
		complain("can't start a process for the collector: %s", strerror(errno));
		goto cleanup;
	}
	close(pair[1]);
	pair[1] = -1;
	ok = wait_ready(c);
	if (!ok) {
		/* The collector has printed why. */
		waitpid(c->pid, NULL, 0);
		c->pid = 0;
	}
cleanup:
	if (!ok) {
		if (pair[0] >= 0)
			close(pair[0]);
		if (pair[1] >= 0)
			close(pair[1]);
		run_collector_clean(c);
	}
	return ok;
}

bool run_collector_release(struct run_collector *c)
{
	char byte;

	shutdown(c->until_fd, SHUT_WR);
	while (recv(c->until_fd, &byte, 1, 0) < 0 && errno == EINTR)
		;
	/*
	 * The first recv() has got a byte, which says that there are clients, or the end of file.
	 * After the end of file the next one gets it too.
	 */
	return recv(c->until_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

void run_collector_wait(struct run_collector *c)
{
	char byte;

	while (recv(c->until_fd, &byte, 1, 0) > 0 || errno == EINTR)
		errno = 0;
}

void run_collector_only(const struct run_collector *c, int fd)
{
	unsigned int from = 3, next;
	const int keep[3] = { c->until_fd, c->notify_fd, fd };
	size_t i;

	for (;;) {
		next = ~0u;
		for (i = 0; i < 3; i++)
			if (keep[i] >= (int)from && (unsigned int)keep[i] < next)
				next = (unsigned int)keep[i];
		if (next > from)
			close_range(from, next - 1, 0);
		if (next == ~0u)
			return;
		from = next + 1;
	}
}

void run_collector_clean(struct run_collector *c)
{
	if (!c->folder[0])
		return;
	/* It is our child, or by now a child of init, and then this fails. */
	if (c->pid > 0)
		waitpid(c->pid, NULL, 0);
	if (c->notify_fd >= 0)
		close(c->notify_fd);
	unlink(c->notify);
	unlink(c->socket);
	rmdir(c->folder);
}
