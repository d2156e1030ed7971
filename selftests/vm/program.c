// SPDX-License-Identifier: GPL-2.0-only
/*
 * program.c - one test program in the VM
 *
 * 1. It runs in a session of its own, with its output in a pipe, until it ends or its time is over.
 * 2. What it printed is passed on whole lines at a time.
 * 3. Processes that it left get a moment to end, then they are killed, and that is a problem.
 * 4. Arenas that it left, and complaints of the kernel, are problems too.
 *
 * Being process 1 we get its orphans, so that every process there is, but this one and the
 * kernel's, is the program's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

#define GRACE_MS 5000

/* Of /proc/PID/stat: the kernel's own threads have it. */
#define PF_KTHREAD 0x00200000u

static bool is_process(pid_t pid, char *name, size_t size)
{
	char path[64], text[512], *p;
	unsigned int flags = 0;
	char state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	vm_read_file(path, text, sizeof(text));
	p = strrchr(text, ')');
	/* After the name: state, parent, group, session, terminal, its group, flags. */
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	*p = 0;
	p = strchr(text, '(');
	snprintf(name, size, "%.60s", p ? p + 1 : text);
	return !(flags & PF_KTHREAD) && state != 'Z';
}

/* Send @sig to what is left, if it is not 0; returns how many there are and the name of one. */
static unsigned int for_each_left(int sig, char *name, size_t size)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned int n = 0;
	pid_t pid;

	while (d && (e = readdir(d))) {
		pid = atoi(e->d_name);
		if (pid <= 1 || !is_process(pid, name, size))
			continue;
		n++;
		if (sig)
			kill(pid, sig);
	}
	if (d)
		closedir(d);
	return n;
}

static void reap(pid_t main_pid, int *status, bool *ended)
{
	pid_t pid;
	int s;

	while ((pid = waitpid(-1, &s, WNOHANG)) > 0) {
		if (pid != main_pid)
			continue;
		*ended = true;
		*status = WIFEXITED(s) ? WEXITSTATUS(s) : 128 + WTERMSIG(s);
	}
}

/* Pass on the lines in the pipe, and what is no whole line if it is the @last; false at its end. */
static bool pass_on(int fd, bool last)
{
	static char line[4096];
	static size_t used;
	bool more;
	char *nl;
	ssize_t n;

	for (;;) {
		n = read(fd, line + used, sizeof(line) - used);
		if (n <= 0)
			break;
		used += (size_t)n;
		while ((nl = memchr(line, '\n', used)) || used == sizeof(line)) {
			size_t len = nl ? (size_t)(nl - line) + 1 : used;

			/* Nobody else says "@". */
			if (line[0] == '@')
				vm_write("# ", 2);
			vm_write(line, len);
			if (!nl)
				vm_write("\n", 1);
			memmove(line, line + len, used - len);
			used -= len;
		}
	}
	more = n < 0 && (errno == EAGAIN || errno == EINTR);
	if (used && (last || !more)) {
		vm_write(line, used);
		vm_write("\n", 1);
		used = 0;
	}
	return more;
}

static pid_t start(const struct vm_program *p, int out)
{
	sigset_t none;
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	setsid();
	null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/tmp"))
		_exit(126);
	execve(p->argv[0], p->argv, p->env);
	dprintf(2, "%s: %s\n", p->argv[0], strerror(errno));
	_exit(127);
}

void vm_run(const struct vm_program *p)
{
	uint64_t begin = vm_now_ms(), end = begin + p->seconds * 1000ull;
	bool ended = false, open_pipe = true, timed_out = false;
	unsigned int left = 0;
	int pipes[2], status = -1, child_fd;
	char name[64] = "";
	sigset_t chld;
	pid_t pid;

	vm_say("@begin %s\n", p->name);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	child_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (child_fd < 0 || pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
		vm_say("@problem no pipe: %s\n", strerror(errno));
		goto out;
	}
	/* Of the program's end only: it expects what it writes to wait. */
	fcntl(pipes[1], F_SETFL, 0);
	pid = start(p, pipes[1]);
	close(pipes[1]);

	while (!ended || left) {
		struct pollfd fds[2] = { { open_pipe ? pipes[0] : -1, POLLIN, 0 },
					 { child_fd, POLLIN, 0 } };
		uint64_t now = vm_now_ms();

		if (now >= end && ended)
			break;
		if (now >= end) {
			timed_out = true;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			end = now + GRACE_MS;
		}
		/* Processes that are no children of ours end without a word to us. */
		poll(fds, 2, ended ? 50 : (int)(end - now > 1000 ? 1000 : end - now));
		if (fds[1].revents) {
			struct signalfd_siginfo si;

			while (read(child_fd, &si, sizeof(si)) > 0)
				;
		}
		if (open_pipe && fds[0].revents)
			open_pipe = pass_on(pipes[0], false);
		/* Before it runs over. */
		kmsg_check();
		if (!ended) {
			reap(pid, &status, &ended);
			if (ended)
				end = vm_now_ms() + GRACE_MS;
		} else {
			reap(pid, &status, &ended);
		}
		if (ended)
			left = for_each_left(0, name, sizeof(name));
	}
	if (open_pipe)
		pass_on(pipes[0], true);
	if (timed_out)
		vm_say("@problem it took longer than %u s\n", p->seconds);
	if (left) {
		if (!timed_out)
			vm_say("@problem it left %u processes (%s)\n", left, name);
		end = vm_now_ms() + GRACE_MS;
		while (for_each_left(SIGKILL, name, sizeof(name)) && vm_now_ms() < end) {
			usleep(20000);
			reap(pid, &status, &ended);
		}
		if (for_each_left(0, name, sizeof(name)))
			vm_say("@problem %s can't be killed\n", name);
	}
	close(pipes[0]);
out:
	if (child_fd >= 0)
		close(child_fd);
	arenas_check();
	kmsg_check_leaks();
	kmsg_check();
	vm_say("@end %s status=%d ms=%llu\n", p->name, status,
	       (unsigned long long)(vm_now_ms() - begin));
}
