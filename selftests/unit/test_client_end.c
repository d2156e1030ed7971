// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_client_end.c - what ended a process, also in the moments at which the kernel does not tell
 *
 *	zombie		nobody has waited for it: its status tells
 *	between		it is being waited for: nothing tells, and what was known stays known
 *	waited for	the pidfd tells (Linux 6.15), or nothing does
 *	kills		those of its group until it is dead, and none of later ones
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/clients/client_end.h"
#include "lib/process.h"

/* A child that has ended as @how says, and that nobody has waited for. */
static pid_t dead(char how)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid) {
		if (how == 'k')
			raise(SIGKILL);
		_exit(7);
	}
	if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	return pid;
}

static struct client_end_watch watch(pid_t pid)
{
	return (struct client_end_watch){ .pid = pid,
				      .pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
				      .events_fd = -1 };
}

/*
 * What it is when nothing but the pidfd is there, and nobody has waited: the same as in the moment
 * between.
 */
static void test_between(void)
{
	struct client_end_watch w = watch(dead('k')), blind = w;
	struct client_end e = CLIENT_END_NOTHING, fresh = CLIENT_END_NOTHING;

	blind.pid = 0;
	client_end_read(&blind, &fresh);
	ksft_test_result(fresh.how == CLIENT_END_UNKNOWN, "between: nothing tells\n");
	client_end_read(&w, &e);
	ksft_test_result(e.how == CLIENT_END_SIGNAL && e.signal == SIGKILL && !e.core,
			 "zombie: killed by SIGKILL\n");
	client_end_read(&blind, &e);
	ksft_test_result(e.how == CLIENT_END_SIGNAL && e.signal == SIGKILL,
			 "between: what was known stays known\n");
	wait_status(w.pid);
	client_end_read(&w, &fresh);
	ksft_test_result(kernel_tells_ends() ?
				 fresh.how == CLIENT_END_SIGNAL && fresh.signal == SIGKILL :
				 fresh.how == CLIENT_END_UNKNOWN,
			 "waited for: %s\n",
			 kernel_tells_ends() ? "killed by SIGKILL" : "not known");
	client_end_forget(&w);
}

static void test_exit(void)
{
	struct client_end_watch w = watch(dead('e'));
	struct client_end e;

	client_end_wait(&w, 0, &e);
	ksft_test_result(e.how == CLIENT_END_EXIT && e.status == 7, "zombie: ended with status 7\n");
	wait_status(w.pid);
	client_end_forget(&w);
}

/* A file in the place of the group's. */
static void set_kills(int fd, unsigned int n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "oom 9\noom_kill %u\n", n);

	if (pwrite(fd, text, (size_t)len, 0) != len)
		ksft_exit_fail_msg("memfd: %s\n", strerror(errno));
}

static void test_kills(void)
{
	struct client_end_watch w = watch(dead('k'));
	struct client_end e = CLIENT_END_NOTHING;
	char text[128];

	w.events_fd = memfd_create("events", MFD_CLOEXEC);
	w.oom_kills = 3;
	set_kills(w.events_fd, 5);
	client_end_read(&w, &e);
	ksft_test_result(e.oom_known && e.oom_kills == 2 &&
				 strstr(client_end_text(&e, text), "by the kernel for memory"),
			 "kills: those since it came\n");
	set_kills(w.events_fd, 6);
	client_end_read(&w, &e);
	ksft_test_result(e.oom_kills == 2, "kills: none of those after it\n");
	wait_status(w.pid);
	client_end_forget(&w);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(7);
	test_between();
	test_exit();
	test_kills();
	ksft_finished();
}
