// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_finalizer.c - what cleanups and finalizers are called for, in which order, and what they may
 * do
 *
 * Each scenario is a process of its own.  Where the order matters, the program itself calls what is
 * queued, so that a cycle queues and nothing is called before the test says so.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

#define MANY 100000

static _Atomic int calls;		/* of the function under test */
static void *kept;			/* a root */

/* The program calls, and no thread of the library's. */
static void call_ourselves(void)
{
	struct tri_options options = { .size = sizeof(options),
				       .finalizers = TRI_FINALIZERS_PROGRAM };

	if (tri_init(&options))
		_exit(77);
}

/* Run a cycle, and call what it has queued.  Returns how many were called. */
static int collect_and_call(void)
{
	collect_times(1);
	return tri_run_finalizers(INT_MAX);
}

static void count(void *unused)
{
	(void)unused;
	calls++;
}

static void count_object(void *object, void *arg)
{
	(void)object, (void)arg;
	calls++;
}

/* ------------------------------------------------------------------------------------------ */
/* Order                                                                                      */
/* ------------------------------------------------------------------------------------------ */

#define CHAIN 8

static int order[CHAIN + 1], norder;

static void note_order(void *object, void *arg)
{
	struct witness *w = object;

	(void)arg;
	/* All that it leads to is whole, though finalizers of that are still to come. */
	for (; w; w = w->next)
		if (w->check != witness_check(w->id))
			_exit(78);
	if (norder <= CHAIN)
		order[norder++] = (int)((struct witness *)object)->id;
}

static NOINLINE void make_chain(void)
{
	struct witness *w, *next = NULL;
	int i;

	for (i = CHAIN; i >= 1; i--) {
		w = witness_new((uint64_t)i);
		tri_store(&w->next, next);
		if (tri_set_finalizer(w, note_order, NULL))
			_exit(79);
		next = w;
	}
}

/* A chain of finalizable objects loses its head in each cycle. */
static bool chains_go_in_order(void)
{
	int i;

	call_ourselves();
	make_chain();
	for (i = 1; i <= CHAIN; i++) {
		CHECK(collect_and_call() == 1);
		CHECK(norder == i && order[i - 1] == i);
	}
	CHECK(collect_and_call() == 0);
	CHECK(norder == CHAIN);
	return true;
}

static NOINLINE void make_ring(bool finalizers)
{
	struct witness *a = witness_new(1), *b = witness_new(2);

	tri_store(&a->next, b);
	tri_store(&b->next, a);
	if (finalizers ? tri_set_finalizer(a, count_object, NULL) ||
				 tri_set_finalizer(b, count_object, NULL) :
			 tri_add_cleanup(a, count, NULL, NULL) ||
				 tri_add_cleanup(b, count, NULL, NULL) ||
				 tri_add_cleanup(b, count, NULL, NULL))
		_exit(79);
}

/* Circles: no obstacle to cleanups; finalizable ones are never freed. */
static bool circles(void)
{
	call_ourselves();
	make_ring(false);
	CHECK(collect_and_call() == 3 && calls == 3);
	make_ring(true);
	CHECK(collect_and_call() == 0);
	CHECK(collect_and_call() == 0);
	CHECK(calls == 3);
	return true;
}

static NOINLINE uintptr_t make_both(void)
{
	struct witness *w = witness_new(1);

	if (tri_add_cleanup(w, count, NULL, NULL) || tri_set_finalizer(w, note_order, NULL))
		_exit(79);
	return hide(w);
}

/* The cleanup comes when the finalizer has run and the object is dead again. */
static bool cleanups_after_finalizers(void)
{
	uintptr_t hidden;

	call_ourselves();
	hidden = make_both();
	CHECK(collect_and_call() == 1 && norder == 1 && calls == 0);
	CHECK(collect_and_call() == 1 && calls == 1);
	CHECK(!is_object(hidden));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* What lives how long                                                                        */
/* ------------------------------------------------------------------------------------------ */

static bool arg_was_right;

static void check_arg(void *arg)
{
	struct witness *w = arg;

	arg_was_right = w && witness_ok(w, w->id) && witness_ok(w->next, w->next->id);
	calls++;
}

static void check_object_and_arg(void *object, void *arg)
{
	struct witness *o = object;

	check_arg(arg);
	arg_was_right &= witness_ok(o, o->id) && witness_ok(o->next, o->next->id);
}

static NOINLINE struct witness *pair_new(uint64_t id)
{
	struct witness *w = witness_new(id);

	tri_store(&w->next, witness_new(id + 1));
	return w;
}

static NOINLINE void keep_with_arg(bool finalizer)
{
	struct witness *o = pair_new(10), *arg = pair_new(20);

	tri_store(&kept, o);
	if (finalizer ? tri_set_finalizer(o, check_object_and_arg, arg) :
			tri_add_cleanup(o, check_arg, arg, NULL))
		_exit(79);
}

/* Nothing but the record leads to the argument, before and after the object's death. */
static bool arguments_live(int finalizer)
{
	call_ourselves();
	keep_with_arg(finalizer);
	collect_times(3);
	tri_store(&kept, NULL);
	collect_times(3);
	CHECK(tri_run_finalizers(INT_MAX) == 1);
	CHECK(calls == 1 && arg_was_right);
	return true;
}

static NOINLINE uintptr_t stop_with_arg(void)
{
	struct witness *o = witness_new(1), *arg = witness_new(2);
	struct tri_cleanup id;

	tri_store(&kept, o);
	if (tri_add_cleanup(o, check_arg, arg, &id) || tri_cleanup_stop(id) ||
	    tri_cleanup_stop(id) != -ENOENT)
		_exit(79);
	return hide(arg);
}

static NOINLINE uintptr_t remove_with_arg(void)
{
	struct witness *arg = witness_new(2);

	if (tri_set_finalizer(kept, count_object, arg) || tri_set_finalizer(kept, NULL, NULL))
		_exit(79);
	return hide(arg);
}

/* A record that was removed keeps nothing. */
static bool removed_is_gone(void)
{
	uintptr_t stopped, removed;

	call_ourselves();
	stopped = stop_with_arg();
	removed = remove_with_arg();
	tri_store(&kept, NULL);
	CHECK(collect_and_call() == 0);
	CHECK(!is_object(stopped) && !is_object(removed));
	return true;
}

static void resurrect(void *object, void *arg)
{
	(void)arg;
	calls++;
	tri_store(&kept, object);
}

static NOINLINE void drop_pair(void (*fn)(void *, void *))
{
	if (tri_set_finalizer(pair_new(1), fn, NULL))
		_exit(79);
}

/* A finalizer may bring its object back for good, and the object may have another one then. */
static bool resurrected(void)
{
	struct witness *w;

	call_ourselves();
	drop_pair(resurrect);
	CHECK(collect_and_call() == 1 && calls == 1);
	collect_times(3);
	w = kept;
	CHECK(witness_ok(w, 1) && witness_ok(w->next, 2));
	CHECK(tri_run_finalizers(INT_MAX) == 0);
	CHECK(tri_set_finalizer(kept, count_object, NULL) == 0);
	w = NULL;
	tri_store(&kept, NULL);
	CHECK(collect_and_call() == 1 && calls == 2);
	CHECK(collect_and_call() == 0);
	return true;
}

static void set_again(void *object, void *arg)
{
	struct witness *w = object;

	if (!witness_ok(w, w->id) || !witness_ok(w->next, w->next->id))
		_exit(78);
	if (++calls < 5 && tri_set_finalizer(object, set_again, arg))
		_exit(79);
	/* It allocates so much that cycles run meanwhile. */
	make_ring(false);
	collect();
}

static bool sets_itself_again(void)
{
	int i;

	call_ourselves();
	drop_pair(set_again);
	for (i = 1; i <= 5; i++) {
		collect_times(1);
		CHECK(tri_run_finalizers(1) == 1);
	}
	CHECK(calls >= 5);
	return true;
}

static uintptr_t tiny_hidden;

static NOINLINE void drop_tiny(void)
{
	char *first = tri_alloc_leaf(4), *second;

	/* Until here the slot is half used: find out which half this is. */
	if (((uintptr_t)first & 15) != 0)
		first = tri_alloc_leaf(4);
	if (tri_add_cleanup(first, count, NULL, NULL))
		_exit(79);
	tiny_hidden = hide(first);
	second = tri_alloc_leaf(4);
	tri_store(&kept, second);
}

/* The next tiny object does not share the slot of one that has a cleanup. */
static bool tiny_stays_alone(void)
{
	call_ourselves();
	drop_tiny();
	CHECK(((uintptr_t)kept ^ (uintptr_t)reveal(tiny_hidden)) & ~15ul);
	CHECK(collect_and_call() == 1 && calls == 1);
	CHECK(tri_base(kept) == kept);
	return true;
}

#define LARGE (3ul << 20)

static NOINLINE void drop_large(void)
{
	void **large = tri_alloc(LARGE);

	tri_store(&large[LARGE / 8 - 1], pair_new(30));
	if (tri_set_finalizer(large, resurrect, NULL) || tri_add_cleanup(large, count, NULL, NULL))
		_exit(79);
}

/* Large objects, whose last word leads to something. */
static bool large_objects(void)
{
	struct witness *w;

	call_ourselves();
	drop_large();
	CHECK(collect_and_call() == 1);
	collect_times(2);
	w = ((void **)kept)[LARGE / 8 - 1];
	CHECK(witness_ok(w, 30) && witness_ok(w->next, 31));
	CHECK(calls == 1);
	w = NULL;
	tri_store(&kept, NULL);
	CHECK(collect_and_call() == 1 && calls == 2);
	collect();
	CHECK(read_stats().live_bytes < LARGE);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* What a function may do                                                                     */
/* ------------------------------------------------------------------------------------------ */

static jmp_buf out;

static void jump(void *unused)
{
	(void)unused;
	calls++;
	longjmp(out, 1);
}

static NOINLINE void drop_with(void (*fn)(void *), int n)
{
	while (n--)
		if (tri_add_cleanup(witness_new(1), fn, NULL, NULL))
			_exit(79);
}

/* It leaves tri_run_finalizers() by a jump, and is not called again. */
static bool jumps_out(void)
{
	volatile int jumps = 0;

	call_ourselves();
	drop_with(jump, 3);
	collect_times(1);
	while (setjmp(out))
		jumps++;
	while (tri_run_finalizers(INT_MAX))
		;
	CHECK(jumps == 3 && calls == 3);
	CHECK(collect_and_call() == 0);
	return true;
}

static _Atomic int ended_threads;
static _Atomic pid_t caller;

static void end_thread(void *unused)
{
	(void)unused;
	caller = gettid();
	ended_threads++;
	pthread_exit(NULL);
}

static void note_caller(void *unused)
{
	(void)unused;
	caller = gettid();
	calls++;
}

/* It ends the library's thread: another one goes on.  The process still ends with its own. */
static bool ends_the_thread(void)
{
	drop_with(end_thread, 3);
	drop_with(note_caller, 3);
	collect_times(1);
	CHECK(WAIT_FOR(calls == 3 && ended_threads == 3, 1000000, PATIENCE_NS));
	CHECK(caller && caller != getpid());
	drop_with(note_caller, 1);
	collect_times(1);
	CHECK(WAIT_FOR(calls == 4, 1000000, PATIENCE_NS));
	return true;
}

static bool may_end;

/* The main thread is there, but the C library has taken another one for the last. */
static void ends_early(void)
{
	if (!may_end)
		_exit(3);
}

static bool is_gone(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) && errno == ESRCH;
}

static _Atomic pid_t *forked;

static void fork_and_return(void *unused)
{
	pid_t pid = fork();

	(void)unused;
	calls++;
	if (pid)
		forked[calls - 1] = pid;
	else
		tri_alloc(64);
}

/* It forks: the child ends when it returns there, and what else is queued is the parent's. */
static bool forks_in_the_thread(void)
{
	int i;

	forked = shared_memory(4096);
	drop_with(fork_and_return, 3);
	collect_times(1);
	CHECK(WAIT_FOR(calls == 3, 1000000, PATIENCE_NS));
	for (i = 0; i < 3; i++) {
		CHECK(forked[i] > 0);
		CHECK(wait_status(forked[i]) == 0);
	}
	return true;
}

/* A page's list that is long is walked once, and not once for each record. */
static bool long_lists(int all)
{
	enum { N = 100000 };
	void *one, *other;
	int i;

	call_ourselves();
	one = tri_alloc(64);
	other = tri_alloc(64);
	tri_set_gc_percent(-1);
	for (i = 0; i < N; i++)
		CHECK(!tri_add_cleanup(one, count, NULL, NULL));
	for (i = 0; i < N; i++)
		CHECK(!tri_add_cleanup(other, count, NULL, NULL));
	if (all) {
		CHECK(tri_finalize_all() == 2 * N);
	} else {
		tri_free(one);
		CHECK(tri_run_finalizers(INT_MAX) == N);
	}
	CHECK(calls == (all ? 2 * N : N));
	tri_keep_alive(other);
	return true;
}

static int status_after_exit(void)
{
	pid_t pid = fork();

	if (!pid) {
		if (atexit(ends_early))
			_exit(4);
		drop_with(end_thread, 1);
		collect_times(1);
		if (!WAIT_FOR(ended_threads == 1 && is_gone(caller), 1000000, PATIENCE_NS))
			_exit(2);
		may_end = true;
		/* The last thread of the program: exit(0) follows. */
		pthread_exit(NULL);
	}
	return wait_status(pid);
}

static bool the_process_ends(void)
{
	CHECK(status_after_exit() == 0);
	return true;
}

static struct event may_go;

static void block(void *unused)
{
	(void)unused;
	calls++;
	event_wait(&may_go);
}

/* While one blocks, the others wait, cycles go on, and it is reported. */
static bool blocks(void)
{
	char text[4096] = "";
	int ends[2], saved = dup(2);
	ssize_t n;

	CHECK(!pipe2(ends, O_CLOEXEC | O_NONBLOCK) && dup2(ends[1], 2) == 2);
	drop_with(block, 1);
	collect_times(1);
	CHECK(WAIT_FOR(calls == 1, 1000000, PATIENCE_NS));
	drop_with(count, 5);
	collect_times(1);
	/* Ten seconds have to pass. */
	CHECK(WAIT_FOR((collect(), (n = read(ends[0], text, sizeof(text) - 1)) > 0), 100000000,
		       3 * PATIENCE_NS));
	dup2(saved, 2);
	text[n] = 0;
	CHECK(strstr(text, "has run for") && strstr(text, "5 others wait for it"));
	CHECK(calls == 1);
	event_set(&may_go);
	CHECK(WAIT_FOR(calls == 6, 1000000, PATIENCE_NS));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Calls                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool says(const char *what)
{
	if (strstr(tri_error(), what))
		return true;
	ksft_print_msg("%s\n", tri_error());
	return false;
}

static bool wrong_arguments(void)
{
	struct tri_cleanup id = { 0, 0 };
	char *o, *other = malloc(64);
	int here;

	call_ourselves();
	CHECK(tri_cleanup_stop(id) == -ENOENT);
	o = tri_alloc(64);
	tri_store(&kept, o);
	CHECK(tri_add_cleanup(&here, count, NULL, NULL) == -EINVAL && says("no object"));
	CHECK(tri_add_cleanup(NULL, count, NULL, NULL) == -EINVAL && says("no object"));
	CHECK(tri_add_cleanup(other, count, NULL, NULL) == -EINVAL && says("no object"));
	CHECK(tri_add_cleanup(o, NULL, NULL, NULL) == -EINVAL && says("no function"));
	CHECK(tri_add_cleanup(o, count, o, NULL) == -EINVAL && says("never die"));
	CHECK(tri_add_cleanup(o, count, o + 63, NULL) == -EINVAL && says("never die"));
	CHECK(tri_add_cleanup(o + 8, count, o + 64, &id) == 0);
	CHECK(tri_set_finalizer(o + 8, count_object, NULL) == -EINVAL && says("not the start"));
	CHECK(tri_set_finalizer(other, count_object, NULL) == -EINVAL && says("no object"));
	CHECK(tri_set_finalizer(other, NULL, NULL) == -EINVAL && says("no object"));
	CHECK(tri_set_finalizer(o, NULL, NULL) == -ENOENT);
	CHECK(tri_set_finalizer(o, count_object, o) == -EINVAL && says("never die"));
	CHECK(tri_set_finalizer(o, count_object, NULL) == 0);
	CHECK(tri_set_finalizer(o, count_object, NULL) == -EEXIST && says("has a finalizer"));
	CHECK(tri_set_finalizer(o, NULL, NULL) == 0);
	CHECK(tri_set_finalizer(o, count_object, NULL) == 0);
	CHECK(tri_cleanup_stop((struct tri_cleanup){ UINT32_MAX, 0 }) == -ENOENT);
	CHECK(tri_cleanup_stop((struct tri_cleanup){ id.record, id.use + 1 }) == -ENOENT);
	CHECK(tri_cleanup_stop((struct tri_cleanup){ id.record, UINT32_MAX }) == -ENOENT);
	CHECK(tri_cleanup_stop(id) == 0);
	CHECK(tri_cleanup_stop(id) == -ENOENT);
	/* The record is used again, and the old name names nothing. */
	CHECK(tri_add_cleanup(o, count, NULL, NULL) == 0);
	CHECK(tri_cleanup_stop(id) == -ENOENT);
	CHECK(tri_run_finalizers(-1) == -EINVAL && says("negative"));
	CHECK(tri_run_finalizers(0) == 0 && tri_run_finalizers(1) == 0);
	free(other);
	return true;
}

static NOINLINE void drop_many(int n)
{
	int i;

	for (i = 0; i < n; i++) {
		void *o = tri_alloc(i % 3 ? 16 : 100);

		if (!o || tri_add_cleanup(o, count, NULL, NULL) ||
		    (i % 2 && tri_set_finalizer(o, count_object, NULL)))
			_exit(79);
	}
}

/* An object with both needs two cycles, and one that was allocated in a cycle another one. */
static bool all_are_called(int n)
{
	return WAIT_FOR((collect_times(1), calls == n), 1000000, 3 * PATIENCE_NS);
}

/* Each is called once, in the library's thread, and nothing of them is left. */
static bool many(void)
{
	drop_many(MANY);
	CHECK(all_are_called(MANY + MANY / 2));
	collect_times(2);
	CHECK(calls == MANY + MANY / 2);
	CHECK(read_stats().live_bytes < 1 << 20);
	/* The records serve others. */
	drop_many(MANY);
	CHECK(all_are_called(3 * MANY));
	return true;
}

static NOINLINE uintptr_t free_with(int how)
{
	void *o = tri_alloc(how ? 100000 : 64), *arg = witness_new(1);

	if (tri_add_cleanup(o, check_arg, pair_new(5), NULL) ||
	    tri_add_cleanup(o, count, NULL, NULL) || tri_set_finalizer(o, count_object, arg))
		_exit(79);
	tri_free(o);
	return hide(arg);
}

/*
 * tri_free() queues the cleanups at once, and removes the finalizer.  The next object in the slot
 * has none of them.
 */
static bool freed_objects(int how)
{
	uintptr_t hidden;
	int i;

	call_ourselves();
	hidden = free_with(how);
	CHECK(tri_run_finalizers(INT_MAX) == 2 && calls == 2 && arg_was_right);
	for (i = 0; i < 1000; i++)
		tri_free(tri_alloc(how ? 100000 : 64));
	CHECK(collect_and_call() == 0 && calls == 2);
	CHECK(!is_object(hidden));
	return true;
}

static bool at_exit_none(int all)
{
	_Atomic int *seen = shared_memory(sizeof(*seen));
	pid_t pid = fork();

	if (!pid) {
		call_ourselves();
		drop_with(count, 3);
		make_chain();
		keep_with_arg(true);
		if (all && (tri_finalize_all() != 3 + CHAIN + 1 || tri_finalize_all() != 0))
			_exit(1);
		*seen = calls + norder;
		exit(0);
	}
	CHECK(wait_status(pid) == 0);
	CHECK(*seen == (all ? 3 + CHAIN + 1 : 0));
	return true;
}

int main(void)
{
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	ksft_print_header();
	ksft_set_plan(23);
	ksft_test_result(scenario(chains_go_in_order), "a chain of finalizers\n");
	ksft_test_result(scenario(circles), "circles\n");
	ksft_test_result(scenario(cleanups_after_finalizers), "a cleanup after a finalizer\n");
	ksft_test_result(scenario_with(arguments_live, 0), "the argument of a cleanup lives\n");
	ksft_test_result(scenario_with(arguments_live, 1), "the argument of a finalizer lives\n");
	ksft_test_result(scenario(removed_is_gone), "what is removed keeps nothing\n");
	ksft_test_result(scenario(resurrected), "an object comes back for good\n");
	ksft_test_result(scenario(sets_itself_again), "a finalizer sets another, and collects\n");
	ksft_test_result(scenario(tiny_stays_alone), "a tiny object with a cleanup stays alone\n");
	ksft_test_result(scenario(large_objects), "large objects\n");
	ksft_test_result(scenario(jumps_out), "a cleanup jumps out\n");
	ksft_test_result(scenario(ends_the_thread), "a cleanup ends the thread\n");
	ksft_test_result(scenario(forks_in_the_thread), "a cleanup forks\n");
	ksft_test_result(scenario_with(long_lists, 0), "a long list, and tri_free()\n");
	ksft_test_result(scenario_with(long_lists, 1), "a long list, and tri_finalize_all()\n");
	ksft_test_result(scenario(the_process_ends), "the process ends all the same\n");
	ksft_test_result(scenario(blocks), "a cleanup blocks, which is reported\n");
	ksft_test_result(scenario(wrong_arguments), "wrong arguments\n");
	ksft_test_result(scenario(many), "many\n");
	ksft_test_result(scenario_with(freed_objects, 0), "tri_free() of an object with both\n");
	ksft_test_result(scenario_with(freed_objects, 1), "and of a large one\n");
	ksft_test_result(scenario_with(at_exit_none, 0), "none is called at exit\n");
	ksft_test_result(scenario_with(at_exit_none, 1), "unless tri_finalize_all() is\n");
	ksft_finished();
}
