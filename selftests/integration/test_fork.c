// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fork.c - processes: a heap and its private collector as guests in a program
 *
 * Children begin with a fresh heap here, TRICOLOR_FORK=fresh; test_fork_copy.c has those that go on
 * with a copy.
 *
 * Each scenario is a child of its own, forked from a process that has no heap, and says by its exit
 * status whether all went well.  Scenarios fork again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "lib/scenario.h"
#include "lib/witness.h"

extern char **environ;

static struct witness *root;
static volatile sig_atomic_t sigchlds;

/* Make a list, collect, and look at it. */
static bool use_heap(int n)
{
	struct witness *w;
	int i;

	tri_store(&root, NULL);
	for (i = 0; i < n; i++) {
		w = witness_new((uint64_t)i);
		tri_store(&w->next, root);
		tri_store(&root, w);
		if (i % (n / 3 + 1) == 0)
			collect();
	}
	collect();
	for (w = root; i--; w = w->next)
		if (!witness_ok(w, (uint64_t)i))
			return false;
	return w == NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static bool fork_and_use(void)
{
	struct witness *mine;
	pid_t pid;
	int i;

	CHECK(use_heap(300));
	mine = root;
	for (i = 0; i < 5; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			/* From a child's child, too, whose parent has no heap yet, or has one. */
			pid = fork();
			if (!pid)
				_exit(use_heap(100) ? 0 : 1);
			if (status_of(pid) || !use_heap(1000))
				_exit(2);
			pid = fork();
			if (!pid)
				_exit(use_heap(100) ? 0 : 1);
			_exit(status_of(pid) || !use_heap(1000) ? 3 : 0);
		}
		collect();
		CHECK(status_of(pid) == 0);
	}
	CHECK(root == mine && witness_ok(mine, 299));
	return true;
}

static bool touch_parents_object(void)
{
	struct witness *volatile parents;
	pid_t pid;
	int heap;

	CHECK(use_heap(10));
	parents = root;
	/* Also when the child has a heap: it must not be where the parent's is. */
	for (heap = 0; heap < 2; heap++) {
		pid = fork();
		if (!pid) {
			struct rlimit none = { 0, 0 };

			setrlimit(RLIMIT_CORE, &none);
			if (heap && !use_heap(10))
				_exit(1);
			_exit(parents->id == 9 ? 2 : 3);
		}
		CHECK(status_of(pid) == SIGSEGV);
	}
	return witness_ok(parents, 9);
}

static struct event threads_stop;

static void *use_heap_until_told(void *unused)
{
	struct witness *list = NULL;
	uint64_t n = 0, i;

	while (!event_is_set(&threads_stop)) {
		struct witness *w = witness_new(n++);

		tri_store(&w->next, list);
		list = w;
		if (n % 1000 == 0) {
			for (i = n; i--; list = list->next)
				if (!witness_ok(list, i))
					_exit(9);
			n = 0;
		}
	}
	return unused;
}

static void *collect_until_told(void *unused)
{
	while (!event_is_set(&threads_stop))
		collect();
	return unused;
}

static bool fork_among_threads(void)
{
	pthread_t thread[3];
	pid_t pid;
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, use_heap_until_told, NULL);
	pthread_create(&thread[2], NULL, collect_until_told, NULL);
	for (i = 0; i < 30; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			_exit(i % 3 ? 0 : use_heap(50) ? 0 : 1);
		}
		CHECK(status_of(pid) == 0);
	}
	event_set(&threads_stop);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* exec                                                                                       */
/* ------------------------------------------------------------------------------------------ */

static char *const again[] = { "test_fork", "use", NULL };

static bool fork_and_exec(void)
{
	pid_t pid;

	CHECK(use_heap(100));
	pid = fork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	/* After a heap of the child's own, too. */
	pid = fork();
	if (!pid) {
		if (use_heap(10))
			execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	return use_heap(100);
}

static bool vfork_and_exec(void)
{
	struct witness *w;
	pid_t pid;

	CHECK(use_heap(100));
	w = root;
	pid = vfork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	pid = vfork();
	if (!pid)
		_exit(0);
	CHECK(status_of(pid) == 0);
	return witness_ok(w, 99) && use_heap(100);
}

static bool spawn(void)
{
	pthread_t thread[2];
	pid_t pid;
	int i;

	pthread_create(&thread[0], NULL, use_heap_until_told, NULL);
	pthread_create(&thread[1], NULL, collect_until_told, NULL);
	for (i = 0; i < 10; i++) {
		CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
		CHECK(status_of(pid) == 0);
	}
	event_set(&threads_stop);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	return use_heap(100);
}

/* ------------------------------------------------------------------------------------------ */
/* The private collector                                                                      */
/* ------------------------------------------------------------------------------------------ */

static void on_sigchld(int sig)
{
	(void)sig;
	sigchlds++;
}

/* Kill the collector, which is ours alone, and wait for the next. */
static bool next_collector(void)
{
	struct tri_stats before = read_stats();

	if (!before.collector_pid || kill((pid_t)before.collector_pid, SIGKILL))
		return false;
	while (read_stats().reconnects == before.reconnects)
		sched_yield();
	return use_heap(100) && read_stats().collector_pid != before.collector_pid;
}

static bool no_child(void)
{
	int status, i;

	signal(SIGCHLD, on_sigchld);
	CHECK(use_heap(100));
	for (i = 0; i < 3; i++) {
		errno = 0;
		CHECK(wait(&status) == -1 && errno == ECHILD);
		CHECK(next_collector());
	}
	errno = 0;
	CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	CHECK(sigchlds == 0);
	CHECK(getpgid((pid_t)read_stats().collector_pid) != getpgrp());
	CHECK(getpgid((pid_t)read_stats().collector_pid) != getpgid(0));
	return true;
}

static bool no_child_of_subreaper(void)
{
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	return no_child();
}

/* Gone, or waiting for an init that does not look after its children. */
static bool has_ended(pid_t pid)
{
	char path[64], line[512], *p;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	if (n <= 0)
		return true;
	line[n] = 0;
	p = strrchr(line, ')');
	return p && p[2] == 'Z';
}

static bool collector_ends(bool subreaper)
{
	uint64_t end = now_ns() + 20000000000ull;
	pid_t collector = 0, pid;
	int fd[2];

	CHECK(pipe2(fd, O_CLOEXEC) == 0);
	pid = fork();
	if (!pid) {
		alarm(30);
		if (subreaper)
			prctl(PR_SET_CHILD_SUBREAPER, 1);
		if (!use_heap(100))
			_exit(1);
		collector = (pid_t)read_stats().collector_pid;
		_exit(write(fd[1], &collector, sizeof(collector)) != sizeof(collector));
	}
	CHECK(status_of(pid) == 0);
	CHECK(read(fd[0], &collector, sizeof(collector)) == sizeof(collector) && collector > 0);
	while (!has_ended(collector)) {
		CHECK(now_ns() < end);
		sched_yield();
	}
	return true;
}

static bool collector_ends_too(void)
{
	return collector_ends(false) && collector_ends(true);
}

static int count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static bool no_descriptors(void)
{
	int before = count_descriptors();

	CHECK(use_heap(100));
	CHECK(count_descriptors() == before);
	CHECK(next_collector());
	CHECK(count_descriptors() == before);
	return true;
}

/* What daemons do, before they use the heap or after. */
static bool close_everything(void)
{
	int before;
	pid_t pid;

	for (before = 0; before < 2; before++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			if (!before && !use_heap(100))
				_exit(1);
			setsid();
			if (chdir("/"))
				_exit(1);
			close_range(0, ~0u, 0);
			_exit(use_heap(2000) && next_collector() && use_heap(2000) ? 0 : 2);
		}
		CHECK(status_of(pid) == 0);
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* The end                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static void *exit_soon(void *how)
{
	while (read_stats().cycles < 3)
		sched_yield();
	if (how)
		_exit(7);
	exit(7);
}

static bool exit_while_marking(void)
{
	pthread_t thread;
	pid_t pid;
	int i;

	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			pthread_create(&thread, NULL, use_heap_until_told, NULL);
			pthread_create(&thread, NULL, collect_until_told, NULL);
			pthread_create(&thread, NULL, exit_soon, i % 2 ? &thread : NULL);
			use_heap_until_told(NULL);
		}
		CHECK(status_of(pid) == 7 << 8);
	}
	return true;
}

static bool set_limit(int what, rlim_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	return setrlimit(what, &limit) == 0;
}

static bool small_address_space(void)
{
	CHECK(set_limit(RLIMIT_AS, 2ul << 30));
	return use_heap(10000);
}

/* What is left of the address space when the arena is made is the program's. */
static bool tight_address_space(void)
{
	CHECK(set_limit(RLIMIT_AS, 300ul << 20));
	CHECK(use_heap(10000));
	CHECK(mmap(NULL, 100ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	return true;
}

/* Enough for an arena of 4 MiB, and not for the tables of a large one. */
static bool smaller_files(void)
{
	CHECK(set_limit(RLIMIT_FSIZE, 32ul << 20));
	return use_heap(10000);
}

static bool small_files(void)
{
	CHECK(set_limit(RLIMIT_FSIZE, 1ul << 30));
	return use_heap(10000);
}

/* Too small: an error and a reason, and no SIGXFSZ. */
static bool tiny_files(void)
{
	struct tri_options options = { .size = sizeof(options) };

	CHECK(set_limit(RLIMIT_FSIZE, 1 << 20));
	CHECK(tri_init(&options) < 0);
	CHECK(!strncmp(tri_error(), "tricolor: ", 10));
	return true;
}

int main(int argc, char **argv)
{
	setenv("TRICOLOR_FORK", "fresh", 1);
	/* A collector of its own for every process. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	if (argc > 1 && !strcmp(argv[1], "use"))
		return !use_heap(200);
	ksft_print_header();
	ksft_set_plan(17);
	ksft_test_result(scenario(fork_and_use), "fork(), and parent and child use the heap\n");
	ksft_test_result(scenario(touch_parents_object),
			 "a parent's object is a fault in the child\n");
	ksft_test_result(scenario(fork_among_threads), "fork() while threads and cycles run\n");
	ksft_test_result(scenario(fork_and_exec), "fork() and exec()\n");
	ksft_test_result(scenario(vfork_and_exec), "vfork() and exec()\n");
	ksft_test_result(scenario(spawn), "posix_spawn() while threads and cycles run\n");
	ksft_test_result(scenario(no_child), "the collector is no child\n");
	ksft_test_result(scenario(no_child_of_subreaper), "nor a subreaper's\n");
	ksft_test_result(scenario(collector_ends_too), "the collector ends with the program\n");
	ksft_test_result(scenario(no_descriptors), "no descriptor more\n");
	ksft_test_result(scenario(close_everything), "a program that closes all descriptors\n");
	ksft_test_result(scenario(exit_while_marking), "exit() from a thread while cycles run\n");
	ksft_test_result(scenario(small_address_space), "RLIMIT_AS of 2 GiB\n");
	ksft_test_result(scenario(tight_address_space), "RLIMIT_AS of 300 MiB\n");
	ksft_test_result(scenario(small_files), "RLIMIT_FSIZE of 1 GiB\n");
	ksft_test_result(scenario(smaller_files), "RLIMIT_FSIZE of 32 MiB\n");
	ksft_test_result(scenario(tiny_files), "RLIMIT_FSIZE of 1 MiB\n");
	ksft_finished();
}
