// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fork_copy.c - children of fork() that go on with a copy of the heap
 *
 * Each scenario is a child of its own, forked from a process that has no heap, and says by its exit
 * status whether all went well.  In it a parent builds lists of witnesses, forks, and both look at
 * them, change them and collect.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "lib/lists.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

static struct event threads_stop;

/* ------------------------------------------------------------------------------------------ */
/* What a child has                                                                           */
/* ------------------------------------------------------------------------------------------ */

static bool child_goes_on(void)
{
	pid_t pid;

	lists_build(LISTS * 100);
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(lists_go_on(100, 50) ? 0 : 1);
	}
	CHECK(lists_go_on(100, 200));
	CHECK(status_of(pid) == 0);
	CHECK(lists_ok(300));
	return true;
}

/* No process sees what the other stores, or loses what the other drops. */
static bool copies_are_apart(void)
{
	pid_t pid;
	int i;

	lists_build(LISTS * 100);
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid == !i) {
			/* One of them: in the first round the child. */
			memset(lists, 0, sizeof(lists));
			collect_times(2);
			lists_build(LISTS * 200);
			collect();
			if (!lists_ok(200))
				_exit(1);
			if (!pid)
				_exit(0);
		} else {
			collect_times(2);
			if (!pid)
				_exit(lists_go_on(100, 100) ? 0 : 1);
			CHECK(lists_ok(100));
		}
		CHECK(status_of(pid) == 0);
	}
	return true;
}

static bool children_of_children(void)
{
	unsigned int depth;
	pid_t pid = 0;

	lists_build(LISTS * 10);
	for (depth = 0; depth < 5; depth++) {
		/* Every second one has an agent of its own when it forks. */
		if (depth % 2)
			collect();
		pid = fork();
		if (pid)
			break;
		alarm(30);
	}
	/* All are of a different length. */
	if (!lists_go_on(10, 10 * (depth + 1)))
		_exit(1);
	if (pid && status_of(pid))
		_exit(2);
	if (depth)
		_exit(0);
	return true;
}

static uint64_t large_ok(const uint64_t *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (words[i] != i * 3)
			return false;
	return true;
}

struct pair {
	uint64_t number;
	struct witness *w;
};

TRI_TYPE(pair_type, struct pair, w);

/* Every kind of object, by every kind of root. */
static bool kinds(void)
{
	enum { WORDS = 1 << 16 };
	static uint64_t *big;
	static char *text, *tiny;
	static struct pair *pairs;
	struct witness *on_stack = witness_new(5), **range;
	tri_handle *h = tri_handle_new(witness_new(6));
	static char *sparse;
	size_t i;
	pid_t pid;

	range = malloc(sizeof(*range));
	CHECK(range && tri_root_add(range, sizeof(*range)) == 0);
	*range = NULL;
	tri_store(range, witness_new(7));
	tri_store(&big, tri_alloc_leaf(WORDS * 8));
	for (i = 0; i < WORDS; i++)
		big[i] = i * 3;
	tri_store(&text, tri_strdup("a text that the parent wrote"));
	tri_store(&tiny, tri_strdup("tiny"));
	tri_store(&pairs, tri_alloc_typed(&pair_type, 100));
	for (i = 0; i < 100; i++) {
		pairs[i].number = i;
		tri_store(&pairs[i].w, witness_new(i));
	}
	/* A gigabyte of which three pages are there. */
	tri_store(&sparse, tri_alloc_leaf(1ul << 30));
	for (i = 0; i < 3; i++)
		sparse[i * (300ul << 20) + 5] = (char)('a' + i);
	/* Larger than auto copies, by its size. */
	pid = fork();
	if (!pid) {
		alarm(30);
		lists_build(LISTS * 10);
		collect_times(3);
		lists_build(LISTS * 1000);
		collect();
		for (i = 0; i < 100; i++)
			if (pairs[i].number != i || !witness_ok(pairs[i].w, i))
				_exit(1);
		if (!large_ok(big, WORDS) || strcmp(text, "a text that the parent wrote") ||
		    strcmp(tiny, "tiny"))
			_exit(2);
		if (!witness_ok(on_stack, 5) || !witness_ok(tri_handle_get(h), 6) ||
		    !witness_ok(*range, 7))
			_exit(3);
		for (i = 0; i < 3; i++)
			if (sparse[i * (300ul << 20) + 5] != 'a' + (int)i ||
			    sparse[i * (300ul << 20) + 5000])
				_exit(4);
		tri_handle_free(h);
		_exit(tri_root_remove(range, sizeof(*range)) ? 5 : 0);
	}
	CHECK(status_of(pid) == 0);
	CHECK(witness_ok(on_stack, 5));
	return true;
}

static bool settings_go_along(void)
{
	pid_t pid;

	lists_build(LISTS);
	tri_set_gc_percent(37);
	pid = fork();
	if (!pid) {
		alarm(30);
		if (tri_set_gc_percent(38) != 37)
			_exit(1);
		collect();
		_exit(tri_set_gc_percent(39) == 38 ? 0 : 2);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* When                                                                                       */
/* ------------------------------------------------------------------------------------------ */

/* Allocates and stores in all ways, and knows what must be there. */
static void *mutate_until_told(void *unused)
{
	struct witness *list = NULL;
	char *text = NULL;
	uint64_t n = 0, i;

	while (!event_is_set(&threads_stop)) {
		struct witness *w = witness_new(n++);

		tri_store(&w->next, list);
		list = w;
		text = n % 64 ? text : tri_alloc_leaf(100 + n * 97 % 100000);
		if (n % 500 == 0) {
			for (i = n; i--; list = list->next)
				if (!witness_ok(list, i))
					_exit(9);
			n = 0;
		}
	}
	(void)text;
	return unused;
}

static void *collect_until_told(void *unused)
{
	while (!event_is_set(&threads_stop))
		collect();
	return unused;
}

static void *allocate_one(void *unused)
{
	return witness_new((uintptr_t)unused);
}

static void *come_and_go(void *unused)
{
	pthread_t thread;

	while (!event_is_set(&threads_stop)) {
		if (pthread_create(&thread, NULL, allocate_one, NULL))
			_exit(8);
		pthread_join(thread, NULL);
	}
	return unused;
}

static void *load_and_unload(void *path)
{
	while (!event_is_set(&threads_stop)) {
		void *lib = dlopen(path, RTLD_NOW);

		if (lib)
			dlclose(lib);
	}
	return NULL;
}

static char plugin[4096];

/* Children at arbitrary instants, while others allocate, collect, come, go, load and unload. */
static bool among_threads(void)
{
	void *(*const fn[])(void *) = { mutate_until_told, mutate_until_told, collect_until_told,
					come_and_go, load_and_unload };
	enum { THREADS = sizeof(fn) / sizeof(fn[0]), CHILDREN = 20 };
	pthread_t thread[THREADS];
	pid_t pid[CHILDREN];
	int i;

	lists_build(LISTS * 100);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, fn[i], plugin) == 0);
	for (i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			alarm(40);
			/* One in three ends at once, as those that exec() do. */
			_exit(i % 3 == 1 || lists_go_on(100, 20) ? 0 : 1);
		}
		CHECK(pid[i] > 0);
		/* At most four at a time. */
		if (i >= 3)
			CHECK(status_of(pid[i - 3]) == 0);
	}
	for (i = CHILDREN - 3; i < CHILDREN; i++)
		CHECK(status_of(pid[i]) == 0);
	event_set(&threads_stop);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK(lists_go_on(100, 20));
	return true;
}

static struct event in_callback, callback_over;

static int stay(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	(void)arg;
	event_set(&in_callback);
	event_wait(&callback_over);
	return 1;
}

static void *stay_in_loader(void *unused)
{
	dl_iterate_phdr(stay, NULL);
	return unused;
}

/* The loader's lock is another thread's at the fork(), and nobody's in the child. */
static bool loader_locked(void)
{
	pthread_t thread;
	pid_t pid;

	lists_build(LISTS * 10);
	pthread_create(&thread, NULL, stay_in_loader, NULL);
	event_wait(&in_callback);
	pid = fork();
	if (!pid) {
		alarm(20);
		_exit(lists_go_on(10, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	event_set(&callback_over);
	pthread_join(thread, NULL);
	return lists_go_on(10, 10);
}

/* A child has threads of its own. */
static bool threads_in_child(void)
{
	pthread_t thread[3];
	pid_t pid;
	int i;

	lists_build(LISTS * 100);
	pid = fork();
	if (!pid) {
		alarm(30);
		for (i = 0; i < 3; i++)
			if (pthread_create(&thread[i], NULL,
					   i ? mutate_until_told : collect_until_told, NULL))
				_exit(2);
		for (i = 0; i < 5; i++)
			if (!lists_go_on(100 + 20 * (unsigned int)i, 20))
				_exit(1);
		event_set(&threads_stop);
		for (i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		_exit(lists_go_on(200, 20) ? 0 : 3);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* A thread that the main thread does not know of forks, and its child is that thread alone. */
static void *fork_here(void *ended)
{
	struct witness *volatile mine = witness_new(77);
	pid_t pid = fork();

	if (!pid) {
		alarm(30);
		if (!lists_go_on(100, 50))
			_exit(1);
		_exit(witness_ok(mine, 77) ? 0 : 2);
	}
	*(int *)ended = status_of(pid);
	return NULL;
}

static bool from_a_worker(void)
{
	pthread_t thread;
	int ended = -1, detached;

	lists_build(LISTS * 100);
	for (detached = 0; detached < 2; detached++) {
		pthread_create(&thread, NULL, fork_here, &ended);
		pthread_join(thread, NULL);
		CHECK(ended == 0);
	}
	return lists_ok(100);
}

static bool from_a_thread_that_is_not_attached(void)
{
	struct witness *volatile mine = witness_new(3);
	pid_t pid;

	lists_build(LISTS * 10);
	tri_thread_detach();
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(lists_go_on(10, 100) && witness_ok(mine, 3) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return lists_ok(10);
}

static volatile sig_atomic_t handled, handler_failed;

static void fork_in_handler(int sig)
{
	int saved = errno;
	pid_t pid = fork();

	(void)sig;
	if (!pid)
		_exit(0);
	if (status_of(pid))
		handler_failed = 1;
	handled++;
	errno = saved;
}

/* The handler may find the thread with any of the library's locks in its hands: no deadlock. */
static bool in_a_handler(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 300 } };
	struct sigaction act = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	unsigned int n = 0;
	int armed = 0;

	sigaction(SIGALRM, &act, NULL);
	lists_build(LISTS * 10);
	while (handled < 50) {
		if (handled == armed) {
			armed = handled + 1;
			soon.it_value.tv_usec = 50 + handled * 37 % 400;
			setitimer(ITIMER_REAL, &soon, NULL);
		}
		lists_push(n % LISTS, 10 + n / LISTS);
		n++;
		tri_alloc_leaf(40000);
	}
	for (; n % LISTS; n++)
		lists_push(n % LISTS, 10 + n / LISTS);
	CHECK(!handler_failed);
	return lists_go_on(10 + n / LISTS, 10);
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", plugin, sizeof(plugin) - 32);

	/* Every process has a collector of its own. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	if (n > 0)
		strcpy(strrchr(plugin, '/'), "/plugin_store.so");
	ksft_print_header();
	ksft_set_plan(11);
	ksft_test_result(scenario(child_goes_on), "a child goes on with what the parent had\n");
	ksft_test_result(scenario(copies_are_apart), "neither sees what the other does\n");
	ksft_test_result(scenario(children_of_children), "children of children\n");
	ksft_test_result(scenario(kinds), "all kinds of objects and roots\n");
	ksft_test_result(scenario(settings_go_along), "settings go along\n");
	ksft_test_result(scenario(among_threads),
			 "while threads allocate, collect, come, go and load\n");
	ksft_test_result(scenario(loader_locked), "while a thread is in dl_iterate_phdr()\n");
	ksft_test_result(scenario(threads_in_child), "a child with threads\n");
	ksft_test_result(scenario(from_a_worker), "from a worker thread\n");
	ksft_test_result(scenario(from_a_thread_that_is_not_attached),
			 "from a thread that is not attached\n");
	ksft_test_result(scenario(in_a_handler), "from a signal handler\n");
	ksft_finished();
}
