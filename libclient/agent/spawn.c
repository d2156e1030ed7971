// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * spawn.c - starting a tricolord of our own, to mark alone or for a shared one
 *
 * The daemon must be no child that the program could wait for, get a SIGCHLD from, or be surprised
 * by.  So the agent makes a child without an exit signal, which wait() ignores.  This child in
 * between makes a grandchild, the daemon, and ends at once, so that init adopts the daemon.  A
 * program that is itself init or a subreaper would adopt it.  There the child in between stays, as
 * the daemon's parent.
 *
 * The daemon stays in our session, because the kernel may share CPU time out among sessions and
 * not among processes (autogroup).  In a session of its own it would get its turn when that
 * session does, and not when we do.  It has a process group of its own, so that what is typed at a
 * terminal is not for it.
 *
 * Both processes share our memory, and have copies of our descriptors.  They run beside us with our
 * thread pointer.  So they use nothing but bare system calls, since errno is ours.
 *
 * Nothing here waits without a bound.  A pipe that the exec closes tells that the daemon's program
 * has been entered.  If its path leads to a file system that does not answer, that takes for ever.
 * Then we say so, and the next attempt waits for the same start again.  There is never a second
 * start beside it, so that they do not pile up.  The daemon gets no arena meanwhile, since nobody
 * has said HELLO to it.
 *
 * Where memory is short, the kernel should kill the daemon rather than the program, from the
 * daemon's first page on: in a control group that is full this page may be the one too many, and
 * the client would be the largest process there.  So oom_score_adj is set before the exec.  The
 * kernel sets it for all processes that share memory, but for one that waits in vfork(), which it
 * does not choose either.  So the child in between is the one that waits in vfork(), and nobody
 * waits for that child.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../core/system/daemon_path.h"
#include "agent.h"
#include "../base/bare.h"
#include "../limits/uncollected.h"
#include "connect.h"
#include "../base/error.h"
#include "../start/init.h"
#include "../base/state.h"
#include "../limits/grant.h"
#include "../base/watched.h"

#define STACK_BYTES 65536
#define START_MS 5000			/* until the daemon's program has been entered */
/*
 * The headroom that a control group must have.  A daemon takes 0.4 MiB until it serves.  This is
 * half of the least margin of headroom.c, so that the heap alone never takes it.
 */
#define START_BYTES (512ll << 10)
#define FIRST_FD 6			/* the new process arranges the descriptors below this */

/*
 * What the two processes in between need.  They read it in our memory until the daemon's program is
 * entered, which may be long after the function that filled it in has returned.  So it is static,
 * and there is one of it, as there is one start at a time.
 */
static struct {
	int program;			/* a daemon that was lent; -1: it is one of @paths */
	const char *paths[3];		/* tried in turn; NULL ends them */
	char beside[512];		/* one of them: see find_daemon() */
	const char *argv[5];
	char *envp[8];
	int fd, report;			/* the daemon's end of the socket; end of the pipe */
	bool stay;			/* the child in between is to stay: see above */
	char *stack;
	volatile int err;		/* why no program could be executed; 0: one was */
	volatile int failed;		/* which path that is about: one that is there, or the
					 * first */
	volatile int pid;		/* of the daemon */
} child;

/* The agent's own. */
static struct {
	bool under_way;			/* a start that has not been seen to end */
	int sock, told;			/* our ends of the socket and of the pipe */
	pid_t middle;			/* the child in between; 0: there is none */
	int pidfd;			/* of the daemon; -1: unknown */
} spawn = { .pidfd = -1 };

static void close_from(long fd)
{
	if (!tri_bare(SYS_close_range, fd, (long)~0u, 0, 0))
		return;
	/* The agent's table began empty, and has no descriptor as high as this. */
	for (; fd < 1024; fd++)
		tri_bare(SYS_close, fd, 0, 0, 0);
}

/*
 * Have the kernel kill this process first.  Nobody needs a privilege to raise the value.  Without
 * /proc, or if we are not dumpable, the value stays as it is.
 */
static void be_killed_first(void)
{
	long fd = tri_bare(SYS_openat, AT_FDCWD, (long)"/proc/self/oom_score_adj",
			   O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	tri_bare(SYS_write, fd, (long)"1000", 4, 0);
	tri_bare(SYS_close, fd, 0, 0, 0);
}

static int grandchild(void *unused)
{
	/* The kernel's struct sigaction: handler, flags, restorer, mask. */
	static const uint64_t dfl[4];
	static const uint64_t none;
	long sig, i, failed = 0, why = ENOENT, err;

	(void)unused;
	for (sig = 1; sig <= 64; sig++)
		tri_bare(SYS_rt_sigaction, sig, (long)dfl, 0, 8);
	tri_bare(SYS_dup3, child.fd, 3, 0, 0);
	tri_bare(SYS_dup3, child.report, 4, O_CLOEXEC, 0);
	if (child.program >= 0)
		tri_bare(SYS_dup3, child.program, 5, O_CLOEXEC, 0);
	else
		tri_bare(SYS_close, 5, 0, 0, 0);
	close_from(FIRST_FD);
	tri_bare(SYS_setpgid, 0, 0, 0, 0);
	tri_bare(SYS_chdir, (long)"/", 0, 0, 0);
	tri_bare(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8);
	be_killed_first();
	if (child.program >= 0)
		why = -tri_bare5(SYS_execveat, 5, (long)"", (long)child.argv, (long)child.envp,
				 AT_EMPTY_PATH);
	for (i = 0; child.program < 0 && child.paths[i]; i++) {
		err = -tri_bare(SYS_execve, (long)child.paths[i], (long)child.argv,
				(long)child.envp, 0);
		if (why == ENOENT) {
			why = err;
			failed = i;
		}
	}
	child.failed = (int)failed;
	child.err = (int)why;
	tri_bare(SYS_exit_group, 127, 0, 0, 0);
	return 0;
}

static int in_between(void *stack)
{
	int pid = clone(grandchild, (char *)stack + STACK_BYTES / 2,
			CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

	if (pid < 0)
		child.err = EAGAIN;
	else
		child.pid = pid;
	if (child.stay && pid > 0) {
		close_from(0);
		while (tri_bare(SYS_wait4, pid, 0, 0, 0) == -EINTR)
			;
	}
	tri_bare(SYS_exit, 0, 0, 0, 0);
	return 0;
}

/*
 * Find the daemon's paths: the configured one; or that beside this library (lib/x.so and
 * sbin/tricolord), and the one that it was to be installed as.  No file is touched here, since it
 * may be on a file system that does not answer.
 */
static void find_daemon(void)
{
	const char *beside;
	Dl_info info;
	int n = 0;

	if (tri_g.settings.daemon[0]) {
		child.paths[n++] = tri_g.settings.daemon;
	} else {
		if (dladdr(&tri_g, &info) && info.dli_fname &&
		    (beside = tri_daemon_beside(info.dli_fname, child.beside,
							sizeof(child.beside))))
			child.paths[n++] = beside;
		child.paths[n++] = tri_daemon_installed();
	}
	child.paths[n] = NULL;
}

/* A program with more rights than its caller writes no files where the caller says. */
static bool may_keep(const char *name)
{
	return strcmp(name, "TRICOLOR_ON_KILL=") || secure_getenv("TRICOLOR_ON_KILL");
}

/* Choose the daemon's environment, which has nothing that was meant for the program. */
static void pick_environment(void)
{
	const size_t room = sizeof(child.envp) / sizeof(child.envp[0]);
	static const char *const keep[] = { "PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
					    "TSAN_OPTIONS=", "LSAN_OPTIONS=", "TRICOLOR_ON_KILL=",
#ifdef TRI_POINTS
					    "TRICOLOR_POINTS=",
#endif
	};
	size_t n = 0, i;
	char **e;

	for (e = environ; e && *e && n < room - 1; e++)
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
			if (!strncmp(*e, keep[i], strlen(keep[i])) && n < room - 1 &&
			    may_keep(keep[i]))
				child.envp[n++] = *e;
	child.envp[n] = NULL;
}

/** What was started last, or could not be, for messages. */
const char *tri_spawn_name(void)
{
	return child.program < 0 ? child.paths[child.failed] : "the tricolord that was lent";
}

/* Move @fd out of the way of the descriptors that the new process arranges. */
static int move_up(int fd)
{
	int up = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD), err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return up;
}

static void close_ends(void)
{
	if (child.fd >= 0)
		close(child.fd);
	if (child.report >= 0)
		close(child.report);
	if (child.program >= 0)
		close(child.program);
}

static void give_up(void)
{
	close_ends();
	close(spawn.sock);
	close(spawn.told);
}

static int open_ends(int program)
{
	int pair[2], ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (pipe2(ends, O_CLOEXEC)) {
		err = -errno;
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	spawn.sock = pair[0];
	spawn.told = ends[0];
	child.fd = move_up(pair[1]);
	child.report = move_up(ends[1]);
	child.program = program < 0 ? -1 : fcntl(program, F_DUPFD_CLOEXEC, FIRST_FD);
	if (child.fd >= 0 && child.report >= 0 && (program < 0 || child.program >= 0))
		return 0;
	err = -errno;
	give_up();
	return err;
}

/*
 * Have a stack for the two processes.  A child in between that stays runs on its stack as long as
 * its daemon lives, so the next start gets another one.
 */
static int make_stack(void)
{
	int status;

	if (spawn.middle > 0 && waitpid(spawn.middle, &status, __WCLONE | WNOHANG) != 0)
		spawn.middle = 0;
	if (child.stack && !spawn.middle)
		return 0;
	child.stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (child.stack != MAP_FAILED)
		return 0;
	child.stack = NULL;
	return -ENOMEM;
}

/*
 * Whether the control groups have room for a daemon.  Nobody is told when a program gives memory
 * back, so the agent measures at each attempt.  After TRI_WITHOUT_NS it tries all the same: where
 * there is swap, the kernel may make room that is not seen here.
 */
static bool has_room(void)
{
	static uint64_t refused_ns;
	uint64_t now = tri_now_ns();
	bool room;

	tri_grant_measure();
	room = tri_grant_room() >= START_BYTES;
	if (!room && !refused_ns)
		refused_ns = now;
	if (!room && now - refused_ns < TRI_WITHOUT_NS)
		return false;
	refused_ns = 0;
	return true;
}

static void set_arguments(const char *name)
{
	child.argv[0] = name;
	child.argv[1] = "--private";
	child.argv[2] = "3";
	child.argv[3] = tri_g.settings.no_control ? "--no-control" : NULL;
	child.argv[4] = NULL;
}

static int begin(int program)
{
	int subreaper = 0, err;

	find_daemon();
	set_arguments(program < 0 ? child.paths[0] : "tricolord");
	pick_environment();
	err = make_stack();
	if (!err)
		err = open_ends(program);
	if (err)
		return err;
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	child.stay = subreaper || tri_g.pid == 1;
	child.err = child.failed = 0;
	child.pid = 0;
	spawn.middle = clone(in_between, child.stack + STACK_BYTES, CLONE_VM, child.stack);
	if (spawn.middle < 0) {
		err = -errno;
		spawn.middle = 0;
		give_up();
		return err;
	}
	spawn.under_way = true;
	close_ends();
	return 0;
}

/* The pipe was closed: the child in between ends now, or stays. */
static void started(void)
{
	int status;

	spawn.under_way = false;
	close(spawn.told);
	if (child.stay)
		return;
	while (waitpid(spawn.middle, &status, __WCLONE) < 0 && errno == EINTR)
		;
	spawn.middle = 0;
}

/*
 * Get a pidfd of the daemon.  Only the daemon has the other end of @sock.  So as long as that is
 * open the daemon exists, and its PID has not become another process's.
 */
static void find_pidfd(int sock)
{
	struct pollfd p = { .fd = sock };

	if (spawn.pidfd >= 0)
		close(spawn.pidfd);
	spawn.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	if (spawn.pidfd >= 0 && (poll(&p, 1, 0) < 0 || p.revents & POLLHUP)) {
		close(spawn.pidfd);
		spawn.pidfd = -1;
	}
	if (spawn.pidfd >= 0)
		fcntl(spawn.pidfd, F_SETFD, FD_CLOEXEC);
}

/*
 * Wait until the daemon's program has been entered, or could not be.  False: this takes too long.
 */
static bool wait_for_start(void)
{
	struct pollfd p = { .fd = spawn.told, .events = POLLIN };
	uint64_t until = tri_now_ns() + START_MS * 1000000ull;

	tri_g.waits_for = "one is being started, and its program is not reached";
	do {
		if (tri_agent_poll(&p, 1, 1000) > 0)
			return true;
		tri_say_without();
	} while (tri_now_ns() < until);
	return false;
}

/**
 * Start a tricolord: one of ours, or @program, the descriptor of one that was lent, if that is not
 * -1.  Where an earlier start has not come to an end yet, that one is waited for instead.  Returns
 * a socket to it, or a negative errno: -ENOEXEC if no program could be executed.  @say: a user
 * should hear of a failure.  Agent only.
 */
int tri_spawn(int program, bool say)
{
	int err;

	if (tri_on_valgrind()) {
		tri_complain(
			TRI_COMPLAINT_NO_COLLECTOR, say,
			"tricolor: no collector, and memory is not freed: "
			"valgrind can't start one; start a tricolord beside it, and set TRICOLOR_SOCKET to its "
			"socket");
		return -ENOTSUP;
	}
	if (!tri_may_spawn()) {
		tri_complain(TRI_COMPLAINT_NO_COLLECTOR, say,
			     "tricolor: no collector, and memory is not freed: there "
			     "is none at %s, and TRICOLOR_DAEMON=off forbids to start one",
			     tri_g.settings.socket);
		return -EPERM;
	}
	if (!spawn.under_way && !has_room()) {
		tri_complain(TRI_COMPLAINT_NO_COLLECTOR, false,
			     "tricolor: no collector, and memory is not freed: the "
			     "memory limit of this control group leaves no room to start one");
		return -ENOSPC;
	}
	err = spawn.under_way ? 0 : begin(program);
	/* The daemon starts meanwhile. */
	tri_uncollected_update();
	if (err) {
		tri_complain(TRI_COMPLAINT_NO_COLLECTOR, say,
			     "tricolor: no collector, and memory is not "
			     "freed: can't start a process: %s%s",
			     strerror(-err),
			     err == -EMFILE ? "; raise the limit of open files (ulimit -n)" : "");
		return err;
	}
	if (!wait_for_start()) {
		tri_complain(TRI_COMPLAINT_NO_COLLECTOR, say,
			     "tricolor: no collector, and memory is not "
			     "freed: %s does not start within %d s; does its file system answer?",
			     tri_spawn_name(), START_MS / 1000);
		return -EINPROGRESS;
	}
	started();
	err = child.err;
	if (err) {
		tri_complain(
			TRI_COMPLAINT_NO_COLLECTOR, say,
			"tricolor: no collector, and memory is not "
			"freed: can't start %s: %s; set TRICOLOR_DAEMON to the path of tricolord",
			tri_spawn_name(), strerror(err));
		close(spawn.sock);
		return -ENOEXEC;
	}
	find_pidfd(spawn.sock);
	return spawn.sock;
}

/** Kill the private collector that was started last.  False: this can't be done. */
bool tri_spawn_kill(void)
{
	return spawn.pidfd >= 0 && !syscall(SYS_pidfd_send_signal, spawn.pidfd, SIGKILL, NULL, 0);
}

/** In the child of a fork(): the daemon is the parent's. */
void tri_spawn_reset(void)
{
	memset(&spawn, 0, sizeof(spawn));
	spawn.pidfd = -1;
}
