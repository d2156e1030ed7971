// SPDX-License-Identifier: GPL-2.0-only
/*
 * subreaper.c - run a program, and leave no process of it behind
 *
 * A collector has a session of its own, so that neither the program's end nor a signal to its
 * process group ends it.  Here the kernel says what belongs to the program: this process is the
 * subreaper of its descendants, so each whose parent has ended becomes its child.  When the program
 * has ended, or its time is over, all children are killed and waited for until there is none.
 *
 * usage: subreaper SECONDS PROGRAM [ARGUMENT...]
 *
 * Ends with the program's status, 128 + N if signal N killed it, 124 if its time was over, 125 if
 * it could not be run, and 128 + N if this process was told to end by SIGHUP, SIGINT or SIGTERM.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_IS_OVER 124
#define CANNOT_RUN 125

static void fail(const char *what)
{
	fprintf(stderr, "subreaper: %s: %s\n", what, strerror(errno));
	exit(CANNOT_RUN);
}

static pid_t parent_of(const char *pid)
{
	char path[300], text[512], *at;
	int parent = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;			/* it has ended */
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	/* PID (NAME) STATE PARENT; the name may have brackets, too. */
	at = strrchr(text, ')');
	return at && sscanf(at, ") %*c %d", &parent) == 1 ? parent : 0;
}

static void kill_children(void)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		fail("/proc");
	while ((entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name) == getpid())
			kill((pid_t)atoi(entry->d_name), SIGKILL);
	closedir(proc);
}

/* Each child that ends may leave children of its own, which are ours from then on. */
static void end_all(void)
{
	do
		kill_children();
	while (wait(NULL) > 0 || errno == EINTR);
}

static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool is_over(const struct timespec *end, struct timespec *left)
{
	clock_gettime(CLOCK_MONOTONIC, left);
	left->tv_sec = end->tv_sec - left->tv_sec;
	left->tv_nsec = end->tv_nsec - left->tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_nsec += 1000000000;
		left->tv_sec--;
	}
	return left->tv_sec < 0;
}

/* What the program ends with, or what ends the wait for it. */
static int wait_for(pid_t program, const sigset_t *signals, time_t seconds)
{
	struct timespec end, left;
	int sig, status;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	while (!is_over(&end, &left)) {
		sig = sigtimedwait(signals, NULL, &left);
		if (sig > 0 && sig != SIGCHLD)
			return 128 + sig;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == program)
				return status_of(status);
	}
	return TIME_IS_OVER;
}

int main(int argc, char **argv)
{
	sigset_t signals, before;
	int seconds, status;
	pid_t program;

	seconds = argc > 2 ? atoi(argv[1]) : 0;
	if (seconds <= 0) {
		fprintf(stderr, "usage: subreaper SECONDS PROGRAM [ARGUMENT...]\n");
		return CANNOT_RUN;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		fail("prctl");
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	program = fork();
	if (program < 0)
		fail("fork");
	if (!program) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[2], argv + 2);
		fail(argv[2]);
	}
	status = wait_for(program, &signals, seconds);
	end_all();
	return status;
}
