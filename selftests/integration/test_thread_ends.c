// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_thread_ends.c - threads that end in every way, and the end of the process with its last one
 *
 * A thread may use the heap in the last of its destructors, leave by the system call, or be the
 * main thread and leave others behind.  Stacks are so large that the C library unmaps them at once:
 * whoever still writes to a thread's variables faults.  Each scenario is a process of its own; what
 * it ended with, and which of its destructors and exit handlers ran, is compared with what a
 * program without a heap does.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <threads.h>

#include "lib/scenario.h"
#include "lib/witness.h"

#define ID(n) (0xe17d5ull << 32 | (uint64_t)(n))

static struct witness *volatile root;
static int (*libc_pthread_create)(pthread_t *thread, const pthread_attr_t *attr,
				  void *(*fn)(void *),
				  void *arg);

static pthread_t start_on_large_stack(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 20);
	if (pthread_create(&thread, &attr, fn, arg))
		ksft_exit_fail_msg("no thread\n");
	pthread_attr_destroy(&attr);
	return thread;
}

/* ------------------------------------------------------------------------------------------ */
/* Destructors                                                                                */
/* ------------------------------------------------------------------------------------------ */

static pthread_key_t late_key;

static NOINLINE void use_heap(uint64_t id)
{
	if (!witness_ok(witness_new(id), id))
		abort();
	tri_store(&root, witness_new(id));
}

enum { ALL_ALONG, IN_DESTRUCTORS, IN_THE_LAST };

static int when_used;
static __thread int round_of_destructors;

static void use_again(void *value)
{
	if (++round_of_destructors == PTHREAD_DESTRUCTOR_ITERATIONS || when_used != IN_THE_LAST)
		use_heap(ID(1));
	pthread_setspecific(late_key, value);
}

static void *use_until_the_end(void *arg)
{
	/* A thread that is made by our pthread_create() is attached already. */
	tri_thread_detach();
	if (when_used == ALL_ALONG)
		use_heap(ID(1));
	pthread_setspecific(late_key, (void *)1);
	return arg;
}

static bool late_destructors(int when)
{
	pthread_t thread[4];
	int round, i;

	when_used = when;
	use_heap(ID(0));
	CHECK(!pthread_key_create(&late_key, use_again));
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 4; i++)
			thread[i] = start_on_large_stack(use_until_the_end, NULL);
		for (i = 0; i < 4; i++)
			CHECK(!pthread_join(thread[i], NULL));
		collect();
		CHECK(witness_ok(root, ID(1)));
	}
	collect();
	CHECK(read_stats().threads == 1);
	return true;
}

static pthread_key_t keys[PTHREAD_KEYS_MAX];
static int nkeys;
static _Atomic int destructor_calls;

static void count_call(void *unused)
{
	(void)unused;
	atomic_fetch_add(&destructor_calls, 1);
}

/* Before any library's constructor. */
static void use_up_keys(int argc, char **argv, char **envp)
{
	(void)argc, (void)argv;
	for (; *envp; envp++)
		if (!strcmp(*envp, "NO_KEYS=1"))
			while (nkeys < PTHREAD_KEYS_MAX &&
			       !pthread_key_create(&keys[nkeys], count_call))
				nkeys++;
}

__attribute__((section(".preinit_array"), used))
static void (*const before_constructors)(int, char **, char **) = use_up_keys;

static void *use_and_collect(void *unused)
{
	use_heap(ID(2));
	collect();
	if (pthread_getspecific(keys[0]))
		abort();
	return unused;
}

/* The process was started without a free key.  Its own keep what they have. */
static bool without_keys(void)
{
	pthread_key_t one_more;
	int i;

	CHECK(pthread_key_create(&one_more, NULL) == EAGAIN);
	CHECK(!pthread_setspecific(keys[0], (void *)0x1234));
	for (i = 0; i < 8; i++)
		CHECK(!pthread_join(start_on_large_stack(use_and_collect, NULL), NULL));
	collect();
	CHECK(pthread_getspecific(keys[0]) == (void *)0x1234);
	CHECK(!atomic_load(&destructor_calls));
	CHECK(read_stats().threads == 1);
	return true;
}

static bool test_without_keys(char *self)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		setenv("NO_KEYS", "1", 1);
		execl("/proc/self/exe", self, "without-keys", NULL);
		_exit(127);
	}
	status = status_of(pid);
	if (status)
		ksft_print_msg("wait status %#x\n", (unsigned int)status);
	return !status;
}

/* ------------------------------------------------------------------------------------------ */
/* Raw exits                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static _Atomic pid_t last_tid;

static void *leave_by_system_call(void *arg)
{
	use_heap(ID(3));
	atomic_store(&last_tid, gettid());
	syscall(SYS_exit, 0);
	return arg;
}

static bool raw_exits(int unused)
{
	int i;

	(void)unused;
	use_heap(ID(0));
	for (i = 0; i < 20; i++) {
		CHECK(!pthread_join(start_on_large_stack(leave_by_system_call, NULL), NULL));
		collect();
	}
	CHECK(witness_ok(root, ID(3)));
	CHECK(read_stats().threads == 1);
	return true;
}

static struct event loaded, let_go;

static void *hold(void *right)
{
	struct witness *volatile mine = root;

	atomic_store(&last_tid, gettid());
	event_set(&loaded);
	while (!event_is_set(&let_go))
		;
	*(int *)right = mine->id == ID(4) && mine->check == witness_check(ID(4));
	return NULL;
}

static NOINLINE void drop_and_collect(void)
{
	int i;

	tri_store(&root, (struct witness *)NULL);
	collect_times(3);
	for (i = 0; i < 20000; i++)
		memset(tri_alloc(sizeof(struct witness)), 0x55, sizeof(struct witness));
}

/* A thread that nobody saw begin has the ID of one that ended without a word. */
static bool same_id(int unused)
{
	pthread_t thread;
	pid_t dead;
	int right = 0, tries;
	FILE *f;

	(void)unused;
	use_heap(ID(0));
	for (tries = 0; tries < 50; tries++) {
		CHECK(!pthread_join(start_on_large_stack(leave_by_system_call, NULL), NULL));
		dead = atomic_load(&last_tid);
		tri_store(&root, witness_new(ID(4)));
		f = fopen("/proc/sys/kernel/ns_last_pid", "w");
		if (!f || fprintf(f, "%d", dead - 1) < 0 || fclose(f))
			return false;
		CHECK(!libc_pthread_create(&thread, NULL, hold, &right));
		event_wait(&loaded);
		if (atomic_load(&last_tid) == dead)
			break;
		event_set(&let_go);
		CHECK(!pthread_join(thread, NULL));
		loaded.happened = let_go.happened = 0;
	}
	CHECK(tries < 50);
	drop_and_collect();
	event_set(&let_go);
	CHECK(!pthread_join(thread, NULL));
	CHECK(right);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* The last thread                                                                            */
/* ------------------------------------------------------------------------------------------ */

enum { RETURNS, EXITS_C11, CANCELLED, LEAVES_RAW, PTHREAD_EXITS, LEAVES_RAW_AND_LAST };

static int report[2];			/* a pipe: a letter for each thing that ran */
static pthread_t first;
static int how_main_ends, how_worker_ends;
static pthread_key_t end_keys[3];

static void say(char c)
{
	if (write(report[1], &c, 1) != 1)
		abort();
}

static void say_key(void *letter)
{
	say((char)(intptr_t)letter);
}

static void at_exit(void)
{
	say('x');
}

/* Wait until the main thread is over. */
static void wait_zombie(void)
{
	char path[64], line[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	do {
		sched_yield();
		fd = open(path, O_RDONLY | O_CLOEXEC);
		/* Without /proc there is no telling. */
		if (fd < 0)
			return;
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
		line[n < 0 ? 0 : n] = 0;
		p = strrchr(line, ')');
	} while (p && p[2] != 'Z');
}

static void *last_one(void *with_heap)
{
	struct witness *volatile w = NULL;
	int i;

	for (i = 0; i < 3; i++)
		pthread_setspecific(end_keys[i], (void *)(intptr_t)('a' + i));
	if (with_heap)
		w = witness_new(ID(5));
	event_set(&loaded);
	if (how_main_ends == CANCELLED)
		pthread_cancel(first);
	/* The main thread is a zombie, or will soon be one: a cycle does not wait for it. */
	for (i = 0; with_heap && i < 3; i++)
		if (tri_gc() || !witness_ok(w, ID(5)))
			abort();
	if (how_main_ends != LEAVES_RAW_AND_LAST)
		wait_zombie();
	if (with_heap && tri_gc())
		abort();
	say('w');
	atomic_store(&last_tid, gettid());
	if (how_worker_ends == LEAVES_RAW)
		syscall(SYS_exit, 9);
	if (how_worker_ends == PTHREAD_EXITS)
		pthread_exit(NULL);
	return NULL;
}

static void main_ends(bool with_heap)
{
	pthread_t thread;
	int i;

	first = pthread_self();
	atexit(at_exit);
	for (i = 0; i < 3; i++)
		pthread_key_create(&end_keys[i], say_key);
	/* One that the library does not see begin starts no heap. */
	if ((with_heap ? pthread_create : libc_pthread_create)(&thread, NULL, last_one,
							 with_heap ? report : NULL))
		abort();
	event_wait(&loaded);
	switch (how_main_ends) {
	case EXITS_C11:
		thrd_exit(0);
	case PTHREAD_EXITS:
		pthread_exit(NULL);
	case LEAVES_RAW_AND_LAST:
		while (!atomic_load(&last_tid))
			sched_yield();
		wait_gone(atomic_load(&last_tid));
		/* fall through */
	case LEAVES_RAW:
		syscall(SYS_exit, 7);
	}
	for (;;)
		pthread_testcancel();
}

/* What a process in which main and worker end in these ways reports and ends with. */
static int outcome(bool with_heap, bool without_proc, char *letters, size_t room)
{
	size_t n = 0;
	ssize_t got;
	pid_t pid;
	int status;

	if (pipe(report))
		return -1;
	pid = fork();
	if (!pid) {
		alarm(30);
		close(report[0]);
		if (without_proc &&
		    (unshare(CLONE_NEWNS) || mount("none", "/proc", "tmpfs", MS_RDONLY, NULL)))
			exit(99);
		main_ends(with_heap);
	}
	close(report[1]);
	while ((got = read(report[0], letters + n, room - 1 - n)) > 0)
		n += (size_t)got;
	letters[n] = 0;
	close(report[0]);
	status = status_of(pid);
	return status;
}

static bool test_last(int main_how, int worker_how, bool without_proc)
{
	char with[64], without[64];
	int status_with, status_without;

	how_main_ends = main_how;
	how_worker_ends = worker_how;
	status_without = outcome(false, without_proc, without, sizeof(without));
	status_with = outcome(true, without_proc, with, sizeof(with));
	if (status_with == status_without && !strcmp(with, without))
		return true;
	ksft_print_msg("with a heap: %#x \"%s\", without: %#x \"%s\"\n", (unsigned int)status_with,
		       with, (unsigned int)status_without, without);
	return false;
}

/*
 * Without a heap the status would be the worker's.  That is gone; the process ends, with the main
 * thread's.
 */
static bool test_worker_is_last(void)
{
	char letters[64];
	int status;

	how_main_ends = how_worker_ends = LEAVES_RAW;
	status = outcome(true, false, letters, sizeof(letters));
	CHECK(WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 7);
	CHECK(!strcmp(letters, "w"));
	return true;
}

static bool can_unmount_proc(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWNS) || mount("none", "/proc", "tmpfs", MS_RDONLY, NULL));
	return !status_of(pid);
}

int main(int argc, char **argv)
{
	static const struct {
		int how;
		const char *text;
	} main_ways[] = {
		{ PTHREAD_EXITS, "pthread_exit()" }, { EXITS_C11, "thrd_exit()" },
		{ CANCELLED, "cancellation" }, { LEAVES_RAW, "the system call" },
	};
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	size_t i;

	libc_pthread_create =
		libc ? (__typeof__(libc_pthread_create))dlsym(libc, "pthread_create") : NULL;
	if (argc > 1 && !strcmp(argv[1], "without-keys"))
		return !without_keys();
	ksft_print_header();
	ksft_set_plan(13);
	if (!libc_pthread_create)
		ksft_exit_fail_msg("no pthread_create() in libc.so.6\n");
	ksft_test_result(scenario_with(late_destructors, ALL_ALONG),
			 "the heap is used until the last destructor\n");
	ksft_test_result(scenario_with(late_destructors, IN_DESTRUCTORS),
			 "and not before the destructors\n");
	ksft_test_result(scenario_with(late_destructors, IN_THE_LAST),
			 "and in their last round only\n");
	ksft_test_result(test_without_keys(argv[0]),
			 "all keys are in use before the library begins\n");
	ksft_test_result(scenario_with(raw_exits, 0),
			 "threads leave by the system call, and are joined\n");
	if (access("/proc/sys/kernel/ns_last_pid", W_OK))
		ksft_test_result_skip("the next thread ID can't be chosen here\n");
	else
		ksft_test_result(scenario_with(same_id, 0), "a thread ID is used again\n");
	for (i = 0; i < sizeof(main_ways) / sizeof(main_ways[0]); i++)
		ksft_test_result(test_last(main_ways[i].how, RETURNS, false),
				 "the main thread ends by %s, then the last one\n",
				 main_ways[i].text);
	ksft_test_result(test_last(LEAVES_RAW_AND_LAST, LEAVES_RAW, false),
			 "both leave by the system call, the main thread last\n");
	ksft_test_result(test_worker_is_last(), "and first\n");
	if (!can_unmount_proc())
		ksft_test_result_skip("/proc can't be hidden here\n");
	else
		ksft_test_result(test_last(PTHREAD_EXITS, RETURNS, true), "without /proc\n");
	ksft_finished();
}
