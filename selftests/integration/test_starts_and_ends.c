// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_starts_and_ends.c - threads that start and end, each with the only pointer to some object
 *
 * Their arguments and results are roots, whether they return, exit, are detached or are cancelled.
 * The main thread may leave before the others.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <threads.h>

#include "lib/threads.h"

#define ID(n) (0x7e57000000000000ull + (uint64_t)(n))

/* ------------------------------------------------------------------------------------------ */
/* Starting and ending                                                                        */
/* ------------------------------------------------------------------------------------------ */

static struct event churn_stop;

/* Cycle after cycle. */
static void *churn(void *unused)
{
	while (!event_is_set(&churn_stop))
		collect();
	return unused;
}

/* Keeps a CPU busy, so that a thread that was made does not run at once. */
static void *burn(void *unused)
{
	while (!event_is_set(&churn_stop))
		;
	return unused;
}

/* Gets a witness as its argument, gives its successor back. */
static void *relay(void *arg)
{
	struct witness *w = arg;

	if (!witness_ok(w, w->id))
		return NULL;
	return witness_new(w->id + 1);
}

#define SHORT_THREADS 500

static bool test_short_threads(void)
{
	uint64_t before, began = now_ns(), id = ID(1000);
	pthread_t churner, burner[2], thread[10];
	bool ok = true;
	int i, j;

	memset(&churn_stop, 0, sizeof(churn_stop));
	before = read_stats().cycles;
	churner = start_thread(churn, NULL);
	burner[0] = start_thread(burn, NULL);
	burner[1] = start_thread(burn, NULL);
	/* More of them where a busy machine makes cycles slow. */
	for (i = 0; ok && (i < SHORT_THREADS / 10 || (read_stats().cycles < before + 10 &&
						      now_ns() - began < 8000000000ull)); i++) {
		for (j = 0; j < 10; j++)
			thread[j] = start_thread(relay, witness_new(id + (uint64_t)j * 10));
		for (j = 0; j < 10; j++) {
			void *result;

			pthread_join(thread[j], &result);
			ok = ok && result && witness_ok(result, id + (uint64_t)j * 10 + 1);
		}
		id += 100;
	}
	event_set(&churn_stop);
	pthread_join(churner, NULL);
	pthread_join(burner[0], NULL);
	pthread_join(burner[1], NULL);
	ksft_print_msg("%d threads in %llu cycles\n", i * 10,
		       (unsigned long long)(read_stats().cycles - before));
	return ok && read_stats().cycles - before >= 5 && threads_are(1);
}

struct ending {
	struct event ready;
	pid_t tid;
	uint64_t id;
	uintptr_t hidden;
	bool by_exit;
};

static NOINLINE void *end_with_witness(struct ending *e)
{
	struct witness *w = witness_new(e->id);

	e->hidden = hide(w);
	return w;
}

static void *ending_thread(void *arg)
{
	struct ending *e = arg;

	e->tid = gettid();
	event_set(&e->ready);
	if (e->by_exit)
		pthread_exit(end_with_witness(e));
	return end_with_witness(e);
}

/* The result of a thread that has ended is held by nothing but the thread library. */
static bool test_result(bool by_exit)
{
	struct ending e = { .id = ID(3000 + by_exit), .by_exit = by_exit };
	pthread_t thread = start_thread(ending_thread, &e);
	void *result = NULL;
	bool ok;

	event_wait(&e.ready);
	wait_gone(e.tid);
	collect_times(3);
	ok = hidden_ok(e.hidden, e.id);
	pthread_join(thread, &result);
	ok = ok && witness_ok(result, e.id);
	result = NULL;
	collect_times(3);
	/* Joined, and forgotten: nothing holds it any more. */
	return ok && !is_object(e.hidden);
}

static struct {
	struct event started, go;
	uint64_t id;
	bool ok;
} c11;

static int c11_thread(void *arg)
{
	struct witness *w = arg;

	event_set(&c11.started);
	event_wait(&c11.go);
	return witness_ok(w, c11.id) ? 42 : 1;
}

static bool test_c11(void)
{
	thrd_t thread;
	int result = 0;

	c11.id = ID(4000);
	if (thrd_create(&thread, c11_thread, witness_new(c11.id)) != thrd_success)
		return false;
	collect_times(2);
	event_wait(&c11.started);
	collect_times(2);
	event_set(&c11.go);
	return thrd_join(thread, &result) == thrd_success && result == 42;
}

static struct {
	struct event started, go, done;
	uint64_t id;
	bool ok;
} detached;

static void *detached_thread(void *arg)
{
	struct witness *w = arg;

	event_set(&detached.started);
	event_wait(&detached.go);
	detached.ok = witness_ok(w, detached.id);
	event_set(&detached.done);
	return w;
}

static bool test_detached(bool from_start)
{
	pthread_attr_t attr;
	pthread_t thread;

	memset(&detached, 0, sizeof(detached));
	detached.id = ID(5000 + from_start);
	pthread_attr_init(&attr);
	if (from_start)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	must(pthread_create(&thread, &attr, detached_thread, witness_new(detached.id)),
	     "pthread_create");
	pthread_attr_destroy(&attr);
	if (!from_start)
		pthread_detach(thread);
	collect_times(2);
	event_wait(&detached.started);
	collect_times(2);
	event_set(&detached.go);
	event_wait(&detached.done);
	return detached.ok && threads_are(1);
}

/* ------------------------------------------------------------------------------------------ */
/* Cancellation                                                                               */
/* ------------------------------------------------------------------------------------------ */

static struct {
	struct event ready;
	pid_t tid;
	int fd[2];
	bool in_read;
	uint64_t id;
	bool ok;
} cancelled;

static void cancel_cleanup(void *arg)
{
	struct witness *more = NULL;
	int i;

	/* The thread can use the heap again. */
	for (i = 0; i < 1000; i++) {
		struct witness *w = witness_new((uint64_t)i);

		tri_store(&w->next, more);
		more = w;
		if (i % 100 == 0)
			collect();
	}
	for (i = 999; i >= 0; i--, more = more->next)
		if (!witness_ok(more, (uint64_t)i))
			return;
	cancelled.ok = witness_ok(arg, cancelled.id);
}

static void *cancelled_thread(void *unused)
{
	struct pollfd p = { .fd = cancelled.fd[0], .events = POLLIN };
	char c;

	(void)unused;
	pthread_cleanup_push(cancel_cleanup, witness_new(cancelled.id));
	cancelled.tid = gettid();
	event_set(&cancelled.ready);
	if (cancelled.in_read)
		(void)!read(cancelled.fd[0], &c, 1);
	else
		poll(&p, 1, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

static bool test_cancel(bool in_read)
{
	pthread_t thread;
	void *result;

	memset(&cancelled, 0, sizeof(cancelled));
	cancelled.id = ID(6000 + in_read);
	cancelled.in_read = in_read;
	if (pipe2(cancelled.fd, O_CLOEXEC))
		return false;
	thread = start_thread(cancelled_thread, NULL);
	event_wait(&cancelled.ready);
	wait_asleep(cancelled.tid, NULL);
	collect_times(3);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	close(cancelled.fd[0]);
	close(cancelled.fd[1]);
	collect();
	return result == PTHREAD_CANCELED && cancelled.ok && threads_are(1);
}

/* ------------------------------------------------------------------------------------------ */
/* The main thread leaves first                                                               */
/* ------------------------------------------------------------------------------------------ */

static void *survive(void *arg)
{
	struct witness *w = arg, *list = NULL;
	int i;

	/* The main thread stays as a zombie, with its number, until the process ends. */
	for (i = 0; i < 200; i++) {
		struct witness *more = witness_new((uint64_t)i);

		tri_store(&more->next, list);
		list = more;
		if (i % 20 == 0)
			collect();
	}
	for (i = 199; i >= 0; i--, list = list->next)
		if (!witness_ok(list, (uint64_t)i))
			_exit(2);
	if (w && !witness_ok(w, ID(9200)))
		_exit(3);
	return NULL;
}

/* A program of its own: status 0 if it comes to its end by itself. */
static bool main_leaves(bool uses_heap_first)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		start_thread(survive, uses_heap_first ? witness_new(ID(9200)) : NULL);
		pthread_exit(NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("the process ended with wait status %#x\n", status);
	return status == 0;
}

/* Nobody but the main thread ever used the heap. */
static bool main_leaves_alone(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		witness_new(1);
		collect();
		pthread_exit(NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("the process ended with wait status %#x\n", status);
	return status == 0;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(12);
	ksft_test_result(test_short_threads(), "%d short threads while cycles run\n",
			 SHORT_THREADS);
	ksft_test_result(test_result(false), "the result of a thread that returned\n");
	ksft_test_result(test_result(true), "the argument of pthread_exit()\n");
	ksft_test_result(test_c11(), "thrd_create()\n");
	ksft_test_result(test_detached(true), "a thread created detached\n");
	ksft_test_result(test_detached(false), "a thread detached later\n");
	ksft_test_result(test_cancel(false), "cancelled in poll()\n");
	ksft_test_result(test_cancel(true), "cancelled in read()\n");
	ksft_test_result(main_leaves(true), "the main thread leaves before the others\n");
	ksft_test_result(main_leaves(false), "the same, and it never used the heap\n");
	ksft_test_result(main_leaves_alone(), "the main thread leaves, and there is no other\n");
	ksft_test_result(threads_are(1), "all others are gone\n");
	ksft_finished();
}
