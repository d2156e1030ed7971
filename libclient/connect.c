// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * connect.c - finding a collector, or starting one
 *
 * First the shared daemon's socket, if there is one; else a private tricolord, over a socket pair.
 *
 * The private daemon must be no child that the program could wait for, get a SIGCHLD from, or be
 * surprised by.  So it is the grandchild of a child without an exit signal (which wait() ignores),
 * that ends at once; init adopts the daemon.  A program that is itself init, or a subreaper, would
 * adopt it: there the child in between stays, as its parent.  Both share our memory and not our
 * descriptors, and use nothing but system calls.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/proto.h"
#include "internal.h"

#ifndef TRICOLORD_PATH
#define TRICOLORD_PATH "/usr/local/sbin/tricolord"
#endif

#define STACK_BYTES 65536
#define HELLO_TIMEOUT_S 5

/* What the two processes in between need; theirs until they exec or exit. */
struct spawn {
	const char *path;
	char *const *argv;
	char *const *envp;
	int fd;
	bool stay;
	int err;
	char *stack;
};

static pid_t middle;			/* the child in between; agent */

static int connect_shared(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (!*path || !strcmp(path, "off") || strlen(path) >= sizeof(addr.sun_path))
		return -ENOENT;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int grandchild(void *arg)
{
	struct spawn *s = arg;
	struct sigaction dfl;
	sigset_t none;
	int sig;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	for (sig = 1; sig < SIGRTMAX; sig++)
		tri_real_sigaction(sig, &dfl, NULL);
	dup2(s->fd, 3);
	close_range(4, ~0u, 0);
	fcntl(3, F_SETFD, 0);
	setsid();
	if (chdir("/"))
		s->err = errno;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->path, s->argv, s->envp);
	s->err = errno;
	_exit(127);
}

static int in_between(void *arg)
{
	struct spawn *s = arg;
	/* It exec()s before we go on, and has done with this stack then. */
	pid_t pid = clone(grandchild, s->stack + STACK_BYTES / 2, CLONE_VM | CLONE_VFORK | SIGCHLD, s);
	int status;

	if (pid < 0)
		s->err = errno;
	if (s->stay && pid > 0) {
		close_range(0, ~0u, 0);
		waitpid(pid, &status, 0);
	}
	_exit(0);
}

/* The daemon's path: beside this library (lib/x.so and sbin/tricolord), else as configured. */
static void find_daemon(char *path, size_t room)
{
	Dl_info info;
	const char *slash;

	if (tri_g.settings.daemon[0]) {
		snprintf(path, room, "%s", tri_g.settings.daemon);
		return;
	}
	if (dladdr(&tri_g, &info) && info.dli_fname && (slash = strrchr(info.dli_fname, '/'))) {
		snprintf(path, room, "%.*s/../sbin/tricolord", (int)(slash - info.dli_fname),
			 info.dli_fname);
		if (!access(path, X_OK))
			return;
	}
	snprintf(path, room, "%s", TRICOLORD_PATH);
}

/* The daemon gets a clean environment: nothing that was meant for the program. */
static void pick_environment(char **envp, size_t room)
{
	static const char *const keep[] = { "PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
					    "TSAN_OPTIONS=", "LSAN_OPTIONS=" };
	size_t n = 0, i;
	char **e;

	for (e = environ; e && *e && n < room - 1; e++)
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
			if (!strncmp(*e, keep[i], strlen(keep[i])) && n < room - 1)
				envp[n++] = *e;
	envp[n] = NULL;
}

static int spawn_private(void)
{
	static char path[512];
	static char *argv[] = { path, "--private", "3", NULL, NULL };
	static char *envp[8];
	static struct spawn s;
	int pair[2], nul, subreaper = 0, status, fd;

	argv[3] = tri_g.settings.no_control ? "--no-control" : NULL;
	find_daemon(path, sizeof(path));
	pick_environment(envp, sizeof(envp) / sizeof(envp[0]));
	if (middle > 0 && waitpid(middle, &status, __WCLONE | WNOHANG) == middle)
		middle = 0;
	/* 0 to 2 are free in the agent's table, or hold what the trace needs. */
	while ((nul = open("/dev/null", O_RDWR)) >= 0 && nul < 3)
		;
	if (nul < 0)
		return -errno;
	close(nul);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (!s.stack) {
		s.stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		if (s.stack == MAP_FAILED) {
			s.stack = NULL;
			close(pair[0]);
			close(pair[1]);
			return -ENOMEM;
		}
	}
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	s.stay = subreaper || tri_g.pid == 1;
	s.path = path;
	s.argv = argv;
	s.envp = envp;
	s.fd = pair[1];
	s.err = 0;
	if (s.stay) {
		/* It goes on beside us, on a stack of its own until it ends. */
		char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		static struct spawn stays;

		if (stack != MAP_FAILED) {
			stays = s;
			stays.stack = stack;
			middle = clone(in_between, stack + STACK_BYTES, CLONE_VM, &stays);
		}
	} else {
		middle = clone(in_between, s.stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, &s);
		if (middle > 0)
			while (waitpid(middle, &status, __WCLONE) < 0 && errno == EINTR)
				;
	}
	close(pair[1]);
	fd = pair[0];
	if (middle < 0 || s.err) {
		int err = s.err ? s.err : errno;

		tri_fail(err, "tricolor: can't start %s: %s", path, strerror(err));
		close(fd);
		return -err;
	}
	return fd;
}

/** TRI_HELLO_DEFAULT_*: the settings that the collector's configuration may choose. */
uint32_t tri_unchosen(void)
{
	uint32_t chosen = tri_read(&tri_g.settings.chosen);

	return (chosen & TRI_CHOSEN_GC_PERCENT ? 0 : TRI_HELLO_DEFAULT_GC_PERCENT) |
	       (chosen & TRI_CHOSEN_MEMORY_LIMIT ? 0 : TRI_HELLO_DEFAULT_MEMORY_LIMIT) |
	       (chosen & TRI_CHOSEN_LIMIT_POLICY ? 0 : TRI_HELLO_DEFAULT_LIMIT_POLICY);
}

static int say_hello(int fd)
{
	struct tri_msg hello = {
		.type = TRI_MSG_HELLO,
		.version = TRI_PROTO_ID,
		.cycle = tri_g.gen,
		.a = (tri_g.settings.trace_gc ? TRI_HELLO_TRACE_GC : 0u) |
		     (tri_g.settings.trace_pacer ? TRI_HELLO_TRACE_PACER : 0u) |
		     (tri_g.settings.trace_scav ? TRI_HELLO_TRACE_SCAV : 0u) |
		     (tri_g.settings.trace_limit ? TRI_HELLO_TRACE_LIMIT : 0u) | tri_unchosen(),
	}, reply;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &hello, sizeof(hello) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct timeval timeout = { HELLO_TIMEOUT_S, 0 };
	int arena = tri_backing_pass(&tri_g.mapping);
	ssize_t n;

	if (arena < 0)
		return arena;
	strcpy(hello.text, tri_version());
	memset(control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &arena, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (n != sizeof(hello)) {
		n = n < 0 ? -errno : -EIO;
		tri_backing_passed(&tri_g.mapping, arena);
		return (int)n;
	}
	tri_backing_passed(&tri_g.mapping, arena);
	n = recv(fd, &reply, sizeof(reply), 0);
	if (n != sizeof(reply))
		return n < 0 ? -errno : -ECONNRESET;
	reply.text[sizeof(reply.text) - 1] = 0;
	if (reply.type == TRI_MSG_WELCOME) {
		tri_write(&tri_g.collector_pid, (uint32_t)reply.a);
		return 0;
	}
	if (reply.type == TRI_MSG_REFUSE) {
		dprintf(2, "tricolor: the collector refuses this heap: %s\n", reply.text);
		return -EACCES;
	}
	return -EPROTO;
}

/** A connected, attached socket, or a negative errno.  Agent only. */
int tri_connect(void)
{
	int fd = connect_shared(tri_g.settings.socket), err;

	if (fd >= 0) {
		err = say_hello(fd);
		if (!err)
			return fd;
		close(fd);
	}
	fd = spawn_private();
	if (fd < 0)
		return fd;
	err = say_hello(fd);
	if (!err)
		return fd;
	close(fd);
	return err;
}
