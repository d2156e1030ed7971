// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_last.c - the last thread leaves by the bare system call, and nothing has woken up the agent
 * before
 *
 * Each case is a process.  Its main thread leaves with status 7 and its worker with status 9; the
 * status of the process is the main thread's.  The ways in which the agent can learn of the end are
 * taken away one after the other.
 */
#include <dlfcn.h>
#include <fcntl.h>

#include "lib/witness.h"
#include "lib/stage.h"

enum worker { ATTACHED, UNINTERPOSED, RETURNS };

struct ending {
	bool main_first;
	enum worker worker;
	bool no_waiter, no_pidfd;
	int status;
};

static const struct ending *how;
static struct event began, may_end;
static struct tri_point *timed, *main_over, *watched, *told;

/* Whether a thread of this process is gone, or has ended and is only to be waited for. */
static bool is_over(pid_t tid)
{
	char path[64], line[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n < 0 ? 0 : n] = 0;
	p = strrchr(line, ')');
	return !p || p[2] == 'Z';
}

/* The kernel tells when one thread ends. */
static bool has_thread_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, gettid(), O_EXCL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void *work(void *tid)
{
	if (how->worker != UNINTERPOSED && !witness_ok(witness_new(1), 1))
		abort();
	*(_Atomic pid_t *)tid = gettid();
	event_set(&began);
	if (how->main_first) {
		if (!WAIT_FOR(is_over(getpid()), 100000, PATIENCE_NS))
			abort();
		/* The agent has found a thread to watch, or has no way to watch one. */
		if (has_thread_pidfd() && !how->no_pidfd && !point_passed_times(watched, 1))
			abort();
	} else {
		event_wait(&may_end);
	}
	if (how->worker != RETURNS)
		syscall(SYS_exit, 9);
	return NULL;
}

static void main_leaves(void)
{
	__typeof__(pthread_create) *libc_pthread_create, *create;
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	static _Atomic pid_t tid;
	pthread_t thread;

	libc_pthread_create =
		libc ? (__typeof__(libc_pthread_create))dlsym(libc, "pthread_create") : NULL;
	if (!libc_pthread_create || tri_gc())
		abort();
	create = how->worker == UNINTERPOSED ? libc_pthread_create : pthread_create;
	if (create(&thread, NULL, work, (void *)&tid))
		abort();
	event_wait(&began);
	if (!how->main_first) {
		event_set(&may_end);
		if (!WAIT_FOR(is_over(tid), 100000, PATIENCE_NS))
			abort();
	}
	syscall(SYS_exit, 7);
}

static void set_points(const struct ending *e)
{
	points_open();
	how = e;
	timed = point_watch("last.timed");
	main_over = point_watch("last.main_over");
	watched = point_watch("last.watched");
	told = point_watch("last.told");
	if (e->no_waiter)
		point_fail("last.waiter", 0);
	if (e->no_pidfd)
		point_fail("last.pidfd", 0);
}

static int ends(const struct ending *e)
{
	pid_t pid;

	set_points(e);
	pid = fork();
	if (!pid) {
		alarm(60);
		main_leaves();
	}
	return wait_status(pid);
}

FIXTURE(last) {
};

FIXTURE_SETUP(last)
{
}

FIXTURE_TEARDOWN(last)
{
}

FIXTURE_VARIANT(last)
{
	struct ending e;
};

#define WAYS(name, ...)										\
	FIXTURE_VARIANT_ADD(last, name) { .e = { __VA_ARGS__ } };				\
	FIXTURE_VARIANT_ADD(last, name##_uninterposed) {					\
		.e = { __VA_ARGS__, .worker = UNINTERPOSED } };					\
	FIXTURE_VARIANT_ADD(last, name##_no_waiter) {						\
		.e = { __VA_ARGS__, .no_waiter = true } };					\
	FIXTURE_VARIANT_ADD(last, name##_no_pidfd) { .e = { __VA_ARGS__, .no_pidfd = true } };	\
	FIXTURE_VARIANT_ADD(last, name##_nothing) {						\
		.e = { __VA_ARGS__, .no_waiter = true, .no_pidfd = true }			\
	}

WAYS(main_first, .main_first = true, .status = 7);
WAYS(main_last, .status = 7);
FIXTURE_VARIANT_ADD(last, worker_returns) { .e = { .main_first = true, .worker = RETURNS } };

TEST_F(last, the_process_ends)
{
	const struct ending *e = &variant->e;

	EXPECT_EQ(e->status, ends(e));
	if (!e->no_waiter)
		EXPECT_EQ(1u, point_passed(main_over));
	if (e->main_first && !e->no_pidfd && has_thread_pidfd())
		EXPECT_TRUE(point_passed(told) > 0);
	/* Where no event reports it, a periodic look has found it. */
	if (e->no_waiter && e->no_pidfd)
		EXPECT_TRUE(point_passed(timed) > 0);
}

/* The agent had been waiting when it heard of the cycle. */
TEST(an_idle_program_is_not_woken_up)
{
	static const struct ending none;

	set_points(&none);
	ASSERT_EQ(0, tri_gc());
	EXPECT_EQ(0u, point_passed(timed));
	EXPECT_EQ(0u, point_passed(main_over));
}

/*
 * A forked child's main thread is the one that forked; its copy of the heap has an agent of its
 * own.
 */
static void *fork_and_leave(void *status)
{
	pid_t pid = fork();

	if (!pid) {
		alarm(60);
		main_leaves();
	}
	*(int *)status = wait_status(pid);
	return NULL;
}

TEST(a_forked_child_ends)
{
	static const struct ending e = { .main_first = true, .status = 7 };
	pthread_t thread;
	int status = -1;

	set_points(&e);
	ASSERT_TRUE(witness_ok(witness_new(2), 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_and_leave, &status));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(e.status, status);
	EXPECT_EQ(1u, point_passed(main_over));
}

TEST_HARNESS_MAIN
