// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_peer.c - whose heap it is: the process at the other end, and not who has its number by now
 *
 * A client's control group is found by its PID.  A client connects and ends, and somebody else
 * holds its connection; the next process with its number is in another group, which is not to be
 * accounted for that client's heap:
 *
 *	said	HELLO is said when the number is another's already
 *	gone	the same, where the kernel says no more of such a process than that it is no more
 *		(up to Linux 6.15)
 *	served	it is taken over later, from a client that is being served
 *	older	the client's number is all that the kernel tells (before Linux 6.5): a client that
 *		lives is found by it
 *
 * All of it happens in a PID namespace, where numbers can be given out again at once.
 */
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/by_hand.h"
#include "lib/groups.h"
#include "lib/served.h"

#define MIB (1ull << 20)
#define LOOK_AGAIN_NS 5500000000ull	/* a client's group is looked for again after this
					 * (groups.c) … */

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static char folder[64], socket_path[96], log_path[96];
static struct test_group victims;

/* @err: what it is told when it asks for a connection's pidfd; 0: the truth. */
static pid_t start_collector(unsigned int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_PEERPIDFD, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filters = { sizeof(filter) / sizeof(filter[0]), filter };
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fd < 0 || dup2(fd, 2) < 0 ||
		    (err && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filters))))
			_exit(126);
		execl(daemon_path(), "tricolord", "--config", "/dev/null", "--log-level", "debug",
		      "--marker", "shared", "--socket", socket_path, (char *)NULL);
		_exit(127);
	}
	if (!WAIT_FOR(can_connect(socket_path), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("no collector: status %d\n", wait_status(pid));
	return pid;
}

static void stop_collector(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
	unlink(socket_path);
}

/* A process that has connected @sock, and waits to be ended. */
static pid_t connecter(int sock)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int done[2];
	char byte;
	pid_t pid;

	strcpy(addr.sun_path, socket_path);
	if (pipe2(done, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) ||
		    write(done[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		ksft_exit_fail_msg("no connection: status %d\n", wait_status(pid));
	close(done[0]);
	return pid;
}

/*
 * End @pid, and have another process with its number, in the group.  The number is asked for: the
 * next one that is given out (ns_last_pid) may be that of a thread which the collector starts at
 * that moment.
 */
static void replace(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };
	pid_t next;

	kill(pid, SIGKILL);
	wait_status(pid);
	fflush(stdout);
	next = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!next) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (next != pid)
		ksft_exit_fail_msg("process %d again: %s\n", pid, strerror(errno));
	if (!group_enter(&victims, next))
		ksft_exit_fail_msg("process %d: %s\n", pid, group_why());
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
}

static bool say_hello(struct client *c)
{
	const struct tri_msg first = { .type = TRI_MSG_REQUEST };
	struct tri_msg reply;
	int fds[2];

	make_arena(c);
	return hello(c->sock, c->file, 0, &reply, fds) && reply.type == TRI_MSG_WELCOME &&
	       send(c->sock, &first, sizeof(first), MSG_NOSIGNAL) == sizeof(first);
}

static bool is_accounted(void)
{
	return strstr(read_text(log_path), strrchr(victims.dir, '/'));
}

/* Whether the watcher has said where client @pid is. */
static bool said_of(pid_t pid)
{
	char text[64];

	snprintf(text, sizeof(text), "client %d: in group", pid);
	return strstr(read_text(log_path), text);
}

static void test_said(unsigned int err, const char *what)
{
	pid_t collector = start_collector(err), pid;
	struct client c = { .sock = socket(AF_UNIX, SOCK_SEQPACKET, 0) };
	bool ok;

	pid = connecter(c.sock);
	replace(pid);
	ok = say_hello(&c) &&
	     WAIT_FOR(strstr(read_text(log_path), "limit can't be seen"), 10000000, PATIENCE_NS);
	ksft_test_result(ok && !is_accounted(),
			 "%s: whoever has the number now has nothing to do with it\n", what);
	close(c.sock);
	end_process(pid);
	stop_collector(collector);
}

/* … when a client comes, for one. */
static void test_served(void)
{
	pid_t collector = start_collector(0), pid;
	struct client c = { .sock = socket(AF_UNIX, SOCK_SEQPACKET, 0) };
	struct served other;
	bool ok;

	pid = connecter(c.sock);
	ok = say_hello(&c) &&
	     WAIT_FOR(strstr(read_text(log_path), ": in group "), 10000000, PATIENCE_NS);
	replace(pid);
	pause_ns(LOOK_AGAIN_NS);
	other = served_start(socket_path, 0, NULL);
	ok = ok && WAIT_FOR(said_of(other.pid), 10000000, PATIENCE_NS);
	ksft_test_result(ok && !is_accounted(),
			 "served: nor with a client that has been served until then\n");
	served_end(&other);
	close(c.sock);
	end_process(pid);
	stop_collector(collector);
}

static void test_older(void)
{
	pid_t collector = start_collector(ENOPROTOOPT);
	struct served c;
	pid_t pid;

	fflush(stdout);
	pid = getpid();
	if (!group_enter(&victims, pid))
		ksft_exit_fail_msg("%s\n", group_why());
	c = served_start(socket_path, 0, NULL);
	ksft_test_result(
		WAIT_FOR(is_accounted(), 10000000, PATIENCE_NS),
		"older: who lives is found by its number where the kernel tells nothing else\n");
	served_end(&c);
	stop_collector(collector);
}

/* Linux 6.5 */
static bool tells_process(void)
{
	int pair[2], fd = -1;
	socklen_t len = sizeof(fd);
	bool tells;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	tells = !getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &len);
	if (tells)
		close(fd);
	close(pair[0]);
	close(pair[1]);
	return tells;
}

static int run_all(void)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, NULL))
		ksft_exit_skip("no /proc of an own PID namespace: %s\n", strerror(errno));
	ksft_set_plan(4);
	if (tells_process())
		test_said(0, "said");
	else
		ksft_test_result_skip("said: this kernel has no pidfd of a connection\n");
	test_said(EINVAL, "gone");
	test_served();
	test_older();
	ksft_finished();
}

int main(void)
{
	pid_t pid;
	int status;

	ksft_print_header();
	if (!group_make(&victims, "memory", "victims"))
		ksft_exit_skip("%s\n", group_why());
	if (!group_limit(&victims, 64 * MIB) || unshare(CLONE_NEWPID | CLONE_NEWNS)) {
		group_remove(&victims);
		ksft_exit_skip("no PID namespace: %s\n", strerror(errno));
	}
	strcpy(folder, temporary_folder());
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	fflush(stdout);
	pid = fork();
	if (!pid)
		return run_all();
	status = wait_status(pid);
	unlink(log_path);
	rmdir(folder);
	group_remove(&victims);
	return status;
}
