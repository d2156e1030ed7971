// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_finalizer_races.c - cleanups and finalizers beside threads, cycles, deaths of collectors,
 * fork(), and event loops
 *
 * Threads make objects that have numbers and checksums and refer to others, keep some for a while,
 * stop some of the cleanups, and drop all.  Each function checks what it gets, and counts.  At the
 * end everything that was not stopped was called once, and nothing else was.
 */
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/arena_check.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

#define THREADS 4
#define PLACES 256

static _Atomic bool stop, failed;
static _Atomic int busy;		/* threads that have rounds left */
static int rounds;
static _Atomic uint64_t last_id;
static _Atomic long added, called, stopped, revived;

/* An object; `next` leads to another one that is not shared. */
struct guarded {
	struct witness w;
	struct tri_cleanup cleanup;
};

static struct guarded *places[PLACES];
static void *saved[PLACES];		/* where finalizers put their objects */

static void fail(const char *why)
{
	if (!atomic_exchange(&failed, true))
		ksft_print_msg("%s\n", why);
}

static bool is_whole(const struct witness *w)
{
	return w && w->check == witness_check(w->id);
}

static void on_cleanup(void *arg)
{
	if (!is_whole(arg))
		fail("the argument of a cleanup is broken");
	called++;
}

static void on_death(void *object, void *arg)
{
	struct guarded *g = object;

	if (!is_whole(&g->w) || !is_whole(g->w.next) || !is_whole(arg))
		fail("an object is broken, or its argument");
	called++;
	/* Every fifth comes back, until the place is needed. */
	if (g->w.id % 5 == 0) {
		revived++;
		tri_store(&saved[g->w.id / 5 % PLACES], g);
	}
}

static struct guarded *guarded_new(void)
{
	uint64_t id = atomic_fetch_add(&last_id, 1) + 1;
	size_t size = id % 499 ? sizeof(struct guarded) + id % 11 * 40 : 50000;
	struct guarded *g = tri_alloc(size);
	struct witness *arg = witness_new(id);
	int err = 0;

	if (!g) {
		fail("no memory");
		return NULL;
	}
	g->w.id = id;
	g->w.check = witness_check(id);
	tri_store(&g->w.next, witness_new(id));
	if (id % 2)
		err = tri_add_cleanup(g, on_cleanup, arg, &g->cleanup);
	added += id % 2;
	if (id % 3 == 0 && !err)
		err = tri_set_finalizer(g, on_death, arg);
	added += id % 3 == 0;
	if (err)
		fail(tri_error());
	return g;
}

/* Stop the cleanup of one that this thread has for itself. */
static void stop_cleanup(struct guarded *g)
{
	struct tri_cleanup id = g->cleanup;
	int err = tri_cleanup_stop(id);

	if (err == 0)
		stopped++;
	/* While the object is held its cleanup can't have been called. */
	if ((g->w.id % 2) != (err == 0) || tri_cleanup_stop(id) != -ENOENT)
		fail("a cleanup could not be stopped, or twice");
	if (!is_whole(&g->w))
		fail("an object is broken");
}

static void *churn(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	int i;

	for (i = 0; i < rounds && !failed; i++) {
		struct guarded *g = tri_exchange(&places[draw(&seed) % PLACES], guarded_new());

		if (!g)
			continue;
		if (!is_whole(&g->w) || !is_whole(g->w.next))
			fail("an object is broken");
		if (draw(&seed) % 4 == 0)
			stop_cleanup(g);
		if (draw(&seed) % 16 == 0)
			tri_store(&saved[draw(&seed) % PLACES], NULL);
	}
	atomic_fetch_sub(&busy, 1);
	return NULL;
}

/* The thread runs what is queued as well. */
static void *run(void *unused)
{
	(void)unused;
	while (!stop && !failed)
		if (tri_run_finalizers(10) < 0)
			fail(tri_error());
	return NULL;
}

/* Each thread makes @n objects; meanwhile there are cycles, or whatever @meanwhile does. */
static bool churn_beside(int n, void (*meanwhile)(void))
{
	pthread_t thread[THREADS + 1];
	uintptr_t i;

	rounds = n;
	busy = THREADS;
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, churn, (void *)(i + 1)));
	CHECK(!pthread_create(&thread[i], NULL, run, NULL));
	while (busy && !failed) {
		if (meanwhile)
			meanwhile();
		else
			tri_gc();
	}
	stop = true;
	for (i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	tri_clear(places, PLACES);
	tri_clear(saved, PLACES);
	/* Some come back once more. */
	if (!WAIT_FOR((collect_times(1), tri_clear(saved, PLACES), failed ||
		       called == added - stopped), 1000000, 6 * PATIENCE_NS))
		ksft_print_msg("added %ld, stopped %ld, called %ld\n", added, stopped, called);
	CHECK(!failed && called == added - stopped);
	collect_times(1);
	CHECK(called == added - stopped && called > 0 && stopped > 0);
	ksft_print_msg("added %ld, stopped %ld, revived %ld\n", added, stopped, revived);
	return true;
}

static bool beside_cycles(void)
{
	struct tri_view v;

	CHECK(churn_beside(20000, NULL));
	CHECK(arena_find(&v));
	CHECK(tri_read(&v.ctl->specials_live) == 0);
	CHECK((long)tri_read(&v.ctl->specials_run) == called);
	return true;
}

/* Kill the collector, at any point of a cycle, and wait until there is another one. */
static void kill_collector(void)
{
	struct tri_stats s = read_stats();

	if (s.collector_pid)
		kill((pid_t)s.collector_pid, SIGKILL);
	WAIT_FOR(read_stats().cycles > s.cycles, 1000000, PATIENCE_NS);
}

static bool collectors_die(void)
{
	tri_set_gc_percent(20);
	CHECK(churn_beside(20000, kill_collector));
	return true;
}

static bool with_debug(int which)
{
	static const char *const debug[] = { "checkmark", "clobberfree", "norseq", "nomembarrier",
					     "gc=300" };
	struct tri_view v;

	setenv("TRICOLOR_DEBUG", debug[which], 1);
	CHECK(churn_beside(which == 4 ? 1000 : 10000, NULL));
	collect();
	CHECK(arena_find(&v) && tri_read(&v.ctl->checkmark_missed) == 0);
	CHECK((tri_read(&v.ctl->checkmark_cycles) > 0) == (which == 0));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void *root;
static _Atomic int counted;

static void count(void *arg)
{
	if (!is_whole(arg))
		_exit(70);
	counted++;
}

static void count_death(void *object, void *arg)
{
	if (!is_whole(object) || !is_whole(arg))
		_exit(71);
	counted++;
}

static NOINLINE void drop(int n)
{
	while (n--) {
		struct witness *w = witness_new((uint64_t)n);

		if (tri_add_cleanup(w, count, witness_new(1), NULL) ||
		    tri_set_finalizer(w, count_death, witness_new(2)))
			_exit(72);
	}
}

static NOINLINE void hold(int n)
{
	void **held = tri_alloc((size_t)n * sizeof(void *));

	tri_store(&root, held);
	while (n--) {
		struct witness *w = witness_new((uint64_t)n);

		tri_store(&held[n], w);
		if (tri_add_cleanup(w, count, witness_new(3), NULL))
			_exit(73);
	}
}

static int run_till(int n)
{
	return WAIT_FOR((collect_times(1), tri_run_finalizers(INT_MAX), counted == n), 1000000,
			PATIENCE_NS) ? 0 : 1;
}

/*
 * Queued records and live ones: both processes call them for their own copies, each once.  @thread:
 * the library's thread calls them in both.
 */
static bool children_have_their_own(int thread)
{
	struct tri_options options = { .size = sizeof(options),
				       .finalizers = thread ? TRI_FINALIZERS_THREAD :
							      TRI_FINALIZERS_PROGRAM };
	pid_t pid;
	int i;

	CHECK(!tri_init(&options));
	drop(100);
	hold(50);
	if (!thread) {
		collect_times(1);
		CHECK(tri_run_finalizers(30) == 30 && counted == 30);
	} else {
		CHECK(run_till(200) == 0);
	}
	for (i = 0; i < 3; i++) {
		int before = counted;

		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			tri_store(&root, NULL);
			_exit(run_till(250) || (collect(), counted != 250));
		}
		CHECK(wait_status(pid) == 0);
		CHECK(counted == before);
	}
	tri_store(&root, NULL);
	CHECK(run_till(250) == 0);
	return true;
}

/* The child allocates until it has cycles, and never asks for anything: its runner is started. */
static bool child_only_allocates(void)
{
	pid_t pid;

	hold(50);
	pid = fork();
	if (!pid) {
		tri_store(&root, NULL);
		_exit(!WAIT_FOR((tri_alloc_leaf(1 << 20), counted == 50), 100000, PATIENCE_NS));
	}
	CHECK(wait_status(pid) == 0);
	CHECK(counted == 0);
	return true;
}

static void fork_one(void)
{
	pid_t pid;

	tri_gc();
	pid = fork();
	if (!pid) {
		/* Other threads of the parent were at work.  The child finds what they held. */
		tri_clear(places, PLACES);
		tri_clear(saved, PLACES);
		collect_times(2);
		while (tri_run_finalizers(1000) > 0)
			;
		_exit(failed ? 74 : 0);
	}
	if (pid < 0 || wait_status(pid))
		fail("a child has failed");
}

static bool while_forking(void)
{
	CHECK(churn_beside(8000, fork_one));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* The descriptor                                                                             */
/* ------------------------------------------------------------------------------------------ */

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && p.revents == POLLIN;
}

/* It can be read exactly while something is queued. */
static bool descriptor(void)
{
	struct tri_options options = { .size = sizeof(options),
				       .finalizers = TRI_FINALIZERS_PROGRAM };
	int fd, other, i, n, null;
	pid_t pid;

	CHECK(!tri_init(&options));
	fd = tri_finalizer_fd();
	CHECK(fd >= 0 && !readable(fd, 0));
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	for (i = 0; i < 5; i++) {
		drop(2);
		counted = 0;
		collect_times(1);
		CHECK(readable(fd, 10000));
		n = tri_run_finalizers(1);
		CHECK(n == 1 && readable(fd, 10000));
		while (tri_run_finalizers(100) > 0)
			;
		CHECK(WAIT_FOR(!readable(fd, 0), 1000000, PATIENCE_NS));
	}
	/* What the program opens under that number after it has closed all is left alone. */
	drop(2);
	other = tri_finalizer_fd();
	CHECK(other >= 0 && other != fd);
	null = memfd_create("null", 0);
	CHECK(dup2(null, fd) == fd);
	collect_times(1);
	CHECK(readable(other, 10000));
	CHECK(lseek(null, 0, SEEK_END) == 0);
	/* A daemon forks and closes all. */
	pid = fork();
	if (!pid) {
		close_range(3, ~0u, 0);
		fd = tri_finalizer_fd();
		if (fd < 0 || !readable(fd, 10000))
			_exit(1);
		while (tri_run_finalizers(100) > 0)
			;
		drop(1);
		if (!WAIT_FOR(!readable(fd, 0), 1000000, PATIENCE_NS))
			_exit(2);
		collect_times(1);
		_exit(readable(fd, 10000) ? 0 : 3);
	}
	CHECK(wait_status(pid) == 0);
	/* The parent's are still queued. */
	CHECK(readable(other, 10000));
	return true;
}

int main(void)
{
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	ksft_print_header();
	ksft_set_plan(12);
	ksft_test_result(scenario(beside_cycles), "threads beside cycles\n");
	ksft_test_result(scenario(collectors_die), "collectors die\n");
	ksft_test_result(scenario(while_forking), "while forking\n");
	ksft_test_result(scenario_with(children_have_their_own, 0), "a child has its own records\n");
	ksft_test_result(scenario_with(children_have_their_own, 1), "and its own thread\n");
	ksft_test_result(scenario(child_only_allocates), "a child that only allocates\n");
	ksft_test_result(scenario(descriptor), "the descriptor\n");
	ksft_test_result(scenario_with(with_debug, 0), "with checkmark\n");
	ksft_test_result(scenario_with(with_debug, 1), "with clobberfree\n");
	ksft_test_result(scenario_with(with_debug, 2), "with norseq\n");
	ksft_test_result(scenario_with(with_debug, 3), "with nomembarrier\n");
	ksft_test_result(scenario_with(with_debug, 4), "with gc=300\n");
	ksft_finished();
}
