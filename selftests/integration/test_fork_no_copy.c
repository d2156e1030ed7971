// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fork_no_copy.c - children of fork() that get no copy of the heap, and what becomes of them
 *
 * Each scenario is a child of its own, forked from a process that has no heap, and says by its exit
 * status whether all went well.  Such a child has a heap of its own, and ends by SIGSEGV when it
 * reads an object of the parent.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/lists.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

static struct event threads_stop;

static char said[4096];

/* Run @fn with standard error in `said`. */
static bool listen_to(bool (*fn)(void))
{
	FILE *f = tmpfile();
	int was = dup(2);
	bool ok;
	size_t n;

	dup2(fileno(f), 2);
	ok = fn();
	dup2(was, 2);
	close(was);
	rewind(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = 0;
	fclose(f);
	return ok;
}

static unsigned int times_said(const char *what)
{
	const char *p = said;
	unsigned int n = 0;

	while ((p = strstr(p, what))) {
		n++;
		p++;
	}
	return n;
}

/* Three children that find an object of the parent a fault, and have a heap of their own. */
static bool fork_without_copy(void)
{
	struct witness *volatile parents = lists[0];
	struct rlimit none = { 0, 0 };
	pid_t pid;
	int i;

	setrlimit(RLIMIT_CORE, &none);
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			memset(lists, 0, sizeof(lists));
			lists_build(LISTS * 10);
			if (!lists_go_on(10, 10))
				_exit(1);
			_exit(parents->id ? 2 : 3);
		}
		CHECK(status_of(pid) == SIGSEGV);
	}
	return true;
}

static bool too_large_for_auto(void)
{
	static char *big;

	setenv("TRICOLOR_FORK", "auto", 1);
	lists_build(LISTS * 100);
	tri_store(&big, tri_alloc_leaf(300ul << 20));
	CHECK(listen_to(fork_without_copy));
	CHECK(times_said("tricolor: fork(): ") == 1 && strstr(said, "TRICOLOR_FORK"));
	/* Also where nothing is said. */
	CHECK(strstr(tri_error(), "TRICOLOR_FORK"));
	return lists_ok(100);
}

static bool past_the_limit(void)
{
	static char *big;

	lists_build(LISTS * 100);
	tri_set_memory_limit(64 << 20);
	tri_store(&big, tri_alloc_leaf(40 << 20));
	/* Until the collector has published the limit. */
	while (read_stats().limit_bytes != 64 << 20)
		sched_yield();
	CHECK(listen_to(fork_without_copy));
	CHECK(times_said("tricolor: fork(): ") == 1 && strstr(said, "limit"));
	return lists_ok(100);
}

static bool no_descriptor_left(void)
{
	struct rlimit limit, few;
	struct witness *volatile parents;
	pid_t pid;

	lists_build(LISTS * 10);
	parents = lists[0];
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	few = (struct rlimit){ 3, limit.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	pid = fork();
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		alarm(30);
		memset(lists, 0, sizeof(lists));
		lists_build(LISTS * 10);
		if (!lists_go_on(10, 10))
			_exit(1);
		_exit(parents->id ? 2 : 3);
	}
	CHECK(status_of(pid) == SIGSEGV);
	return lists_go_on(10, 10);
}

/* Kill the children of thread @tid as soon as they are there. */
static void *kill_children(void *tid)
{
	char path[64], line[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", *(pid_t *)tid);
	while (!event_is_set(&threads_stop)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		close(fd);
		if (n > 0) {
			line[n] = 0;
			kill(atoi(line), SIGKILL);
		}
	}
	return NULL;
}

/* The parent of a child that is killed while it copies goes on, and its heap is whole. */
static bool child_killed_while_copying(void)
{
	static char *big;
	pthread_t killer;
	pid_t self = gettid(), pid;
	int i;

	if (access("/proc/self/task/self/children", F_OK) && errno == ENOENT &&
	    access("/proc/thread-self/children", F_OK)) {
		ksft_print_msg("no /proc/PID/task/TID/children here\n");
		return true;
	}
	lists_build(LISTS * 100);
	tri_store(&big, tri_alloc_leaf(40 << 20));
	memset(big, 1, 40 << 20);
	pthread_create(&killer, NULL, kill_children, &self);
	for (i = 0; i < 5; i++) {
		uint64_t began = now_ns();

		pid = fork();
		if (!pid)
			for (;;)
				pause();
		CHECK(status_of(pid) == SIGKILL);
		/* The bound without a sign of life is 3 s: it was told. */
		if (now_ns() - began > 3000000000ull)
			ksft_print_msg("a fork() of %llu ms\n",
				       (unsigned long long)((now_ns() - began) / 1000000));
	}
	event_set(&threads_stop);
	pthread_join(killer, NULL);
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(lists_go_on(100, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return lists_go_on(100, 10);
}

int main(void)
{
	/* Every process has a collector of its own. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	ksft_print_header();
	ksft_set_plan(4);
	ksft_test_result(scenario(too_large_for_auto), "auto: no copy of a large heap, and why\n");
	ksft_test_result(scenario(past_the_limit), "no copy past the memory limit, and why\n");
	ksft_test_result(scenario(no_descriptor_left), "no copy without a descriptor\n");
	ksft_test_result(scenario(child_killed_while_copying), "a child that is killed\n");
	ksft_finished();
}
