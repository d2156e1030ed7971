// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checkmark.c - what TRICOLOR_DEBUG=checkmark says of words that lead to unmarked objects
 *
 * A thread that has been scanned takes a pointer from a place that no barrier and no scan has seen,
 * such as another thread's stack, and keeps it on its own stack.
 *
 * Checkmark needs a stop of all threads, which other cycles may need as well (unattached.c).  The
 * test also has it stop a thread that holds a lock.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "lib/stage.h"

static uintptr_t unseen;
static volatile int holding, let_go;

static __attribute__((noinline)) void make_unseen(void *unused)
{
	(void)unused;
	unseen = hidden(tri_alloc(sizeof(struct box)));
}

static void hold_unseen(void *unused)
{
	void *volatile word = shown(unseen);

	(void)unused;
	holding = 1;
	while (!let_go)
		sched_yield();
	tri_keep_alive(word);
}

/* Whether @fd, which is standard error, has the sentence. */
static bool is_told(int fd)
{
	static char text[65536];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return strstr(text, "lead to unmarked objects");
}

TEST(another_thread_loads_from_a_stack)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), old = dup(2);
	struct tri_point *threads;
	struct actor subject;

	ASSERT_LE(0, fd);
	setenv("TRICOLOR_DEBUG", "checkmark", 1);
	ASSERT_EQ(2, dup2(fd, 2));
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&subject));
	ASSERT_TRUE(actor_does(&subject, make_unseen, NULL));
	threads = point_hold("scan.threads_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(threads));
	actor_ask(&subject, hold_unseen, NULL);
	while (!holding)
		sched_yield();
	ASSERT_TRUE(point_release(threads));
	ASSERT_TRUE(cycle_ended());
	let_go = 1;
	ASSERT_TRUE(actor_finished(&subject));
	/* The agent writes trace lines in the order in which they arrive. */
	ASSERT_TRUE(cycle_whole());
	EXPECT_TRUE(is_told(fd));
	dup2(old, 2);
	EXPECT_TRUE(actor_end(&subject));
	EXPECT_TRUE(actor_end(&collector));
}

static _Atomic int *handling;		/* shared with the director */

static void poll_in_handler(int sig)
{
	(void)sig;
	atomic_store(handling, 1);
	tri_poll();
}

/* Called while the thread has not yet answered what the agent asks. */
static void look_up_deaf(void *unused)
{
	uint64_t all = ~0ull & ~(1ull << (SIGUSR1 - 1)), old;
	int local;

	(void)unused;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	tri_usable_size(&local);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

/* This runs in a process of its own, as all threads of this one are stopped by then. */
static bool direct(pid_t pid, pid_t subject, struct tri_point *locks, struct tri_point *locked,
		   struct tri_point *waits)
{
	return point_passed_times(waits, 1) && point_release(locks) && point_reached(locked) &&
	       !syscall(SYS_tgkill, pid, subject, SIGUSR1) &&
	       WAIT_FOR(atomic_load(handling), 20000, PATIENCE_NS) && point_release(locked);
}

/*
 * A thread looks an object up, and holds the lock of the thread list for that.  The agent has asked
 * it to stop, and needs the lock to see that all have stopped.  In a handler, the thread comes by a
 * place where it would answer.
 */
TEST(nobody_is_stopped_with_the_list_in_its_hands)
{
	struct tri_point *threads, *locks, *locked, *waits;
	pid_t pid = getpid(), director;
	struct actor subject;

	handling = shared_memory(sizeof(*handling));
	signal(SIGUSR1, poll_in_handler);
	setenv("TRICOLOR_DEBUG", "checkmark", 1);
	setenv("TRICOLOR_FORK", "fresh", 1);
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&subject));
	threads = point_hold("scan.threads_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(threads));
	locks = point_hold("find.locks", subject.tid);
	locked = point_hold("find.locked", subject.tid);
	waits = point_watch("ask.waits");
	actor_ask(&subject, look_up_deaf, NULL);
	ASSERT_TRUE(point_reached(locks));
	director = fork();
	if (!director)
		_exit(direct(pid, subject.tid, locks, locked, waits) ? 0 : 1);
	ASSERT_TRUE(point_release(threads));
	EXPECT_TRUE(cycle_ended());
	EXPECT_EQ(0, wait_status(director));
	ASSERT_TRUE(actor_finished(&subject));
	EXPECT_TRUE(actor_end(&subject));
	EXPECT_TRUE(actor_end(&collector));
}

TEST_HARNESS_MAIN
