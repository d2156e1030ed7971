// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pool.c - pools of objects that are used again
 *
 * Each part is a process of its own.  Objects are witnesses.  While an object is out of the
 * pool, its `next` says so, so that whoever gets it from the pool finds out whether somebody else
 * has it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/arena_check.h"
#include "lib/parts.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/threads.h"
#include "lib/witness.h"

#define MIB (1ull << 20)
#define MANY 1000u

static tri_pool *pool;			/* a root */

NOINLINE static void make_pool(void)
{
	tri_store(&pool, tri_pool_new(NULL, NULL, NULL));
	if (!pool)
		exit(1);
}

/* Put witnesses @from .. @from + @n - 1 into the pool, and note where they are. */
NOINLINE static void put_witnesses(uint64_t from, unsigned int n, uintptr_t *hidden)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct witness *w = witness_new(from + i);

		if (hidden)
			hidden[i] = hide(w);
		tri_pool_put(pool, w);
	}
}

/* How many of them are still objects. */
NOINLINE static unsigned int count_alive(const uintptr_t *hidden, unsigned int n)
{
	unsigned int i, alive = 0;

	for (i = 0; i < n; i++)
		alive += is_object(hidden[i]);
	return alive;
}

/*
 * Take all that is in the pool.  Returns how many these were, each one a different one of the @n
 * witnesses from number @from on; -1: one was not.
 */
NOINLINE static int take_all(uint64_t from, unsigned int n)
{
	static unsigned char seen[2 * MANY];
	struct witness *w;
	int count = 0;

	memset(seen, 0, sizeof(seen));
	while ((w = tri_pool_get(pool))) {
		if (w->id < from || w->id >= from + n || !witness_ok(w, w->id) ||
		    seen[w->id - from])
			return -1;
		seen[w->id - from] = 1;
		count++;
	}
	return count;
}

/* ------------------------------------------------------------------------------------------ */
/* One thread                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static unsigned int made, was_reset;
static int the_arg;

static void *make_witness(void *arg)
{
	return arg == &the_arg ? witness_new(made++) : NULL;
}

static void reset_witness(void *object, void *arg)
{
	struct witness *w = object;

	if (arg == &the_arg && witness_ok(w, w->id))
		was_reset++;
}

static void *make_nothing(void *arg)
{
	(void)arg;
	errno = ENOMEM;
	return NULL;
}

static bool takes_what_was_put(void)
{
	struct witness *w, *v;
	int local;

	make_pool();
	CHECK(!tri_pool_get(pool));
	errno = EXDEV;
	tri_pool_put(pool, NULL);
	CHECK(!tri_pool_get(pool));
	put_witnesses(0, 2 * MANY, NULL);
	CHECK(take_all(0, 2 * MANY) == 2 * MANY);
	CHECK(errno == EXDEV);
	/* Whatever pointer it is, it comes back as it is. */
	w = witness_new(1);
	tri_pool_put(pool, &w->check);
	CHECK(tri_pool_get(pool) == &w->check);
	tri_pool_put(pool, &local);
	CHECK(tri_pool_get(pool) == &local);

	tri_store(&pool, tri_pool_new(make_witness, reset_witness, &the_arg));
	w = tri_pool_get(pool);
	CHECK(w && w->id == 0 && made == 1 && was_reset == 0);
	tri_pool_put(pool, w);
	CHECK(was_reset == 1);
	v = tri_pool_get(pool);
	CHECK(v == w && made == 1);
	v = tri_pool_get(pool);
	CHECK(v && v != w && v->id == 1 && made == 2);

	tri_store(&pool, tri_pool_new(make_nothing, NULL, NULL));
	errno = 0;
	CHECK(!tri_pool_get(pool) && errno == ENOMEM);
	return true;
}

/* A ring goes round, and need not grow for what comes and goes. */
static bool rings_go_round(void)
{
	struct witness *w[3];
	int round, i;

	make_pool();
	put_witnesses(0, 3, NULL);
	for (round = 0; round < 100000; round++) {
		for (i = 0; i < 3; i++) {
			w[i] = tri_pool_get(pool);
			CHECK(w[i] && witness_ok(w[i], w[i]->id));
		}
		CHECK(w[0] != w[1] && w[1] != w[2] && w[0] != w[2]);
		for (i = 0; i < 3; i++)
			tri_pool_put(pool, w[i]);
	}
	CHECK(read_stats().peak_heap_bytes < 4 * MIB);
	return true;
}

static jmp_buf out;

static void *make_jumps(void *arg)
{
	(void)arg;
	longjmp(out, 1);
}

static void reset_jumps(void *object, void *arg)
{
	(void)object, (void)arg;
	longjmp(out, 2);
}

/* make() and reset() use the pool that calls them. */
static void *make_by_getting(void *arg)
{
	tri_pool *other = arg;

	tri_pool_put(pool, witness_new(7));
	return tri_pool_get(other);
}

/* The function by which tri_pool_get(), or tri_pool_put(), was left; 0: it came back. */
NOINLINE static int left_by(bool put)
{
	int by = setjmp(out);

	if (by)
		return by;
	if (put)
		tri_pool_put(pool, witness_new(1));
	else
		tri_pool_get(pool);
	return 0;
}

static bool callbacks_do_anything(void)
{
	static tri_pool *other;
	struct witness *w;
	int i;

	for (i = 0; i < 100; i++) {
		tri_store(&pool, tri_pool_new(make_jumps, reset_jumps, NULL));
		CHECK(left_by(false) == 1);
		CHECK(left_by(true) == 2);
		/* The object is not in the pool. */
		CHECK(left_by(false) == 1);
		collect();
	}
	tri_store(&other, tri_pool_new(NULL, NULL, NULL));
	tri_store(&pool, tri_pool_new(make_by_getting, NULL, other));
	/* The pool keeps its argument. */
	tri_store(&other, NULL);
	collect_times(3);
	CHECK(!tri_pool_get(pool));
	w = tri_pool_get(pool);
	CHECK(w && witness_ok(w, 7));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Cycles                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static bool second_cycle_drains(void)
{
	static uintptr_t hidden[MANY];
	uint64_t cycles;

	make_pool();
	collect();
	cycles = read_stats().cycles;
	/* Nobody uses the pool meanwhile. */
	put_witnesses(0, MANY, hidden);
	collect_times(1);
	CHECK(count_alive(hidden, MANY) == MANY);
	collect_times(1);
	CHECK(read_stats().cycles == cycles + 2);
	/* A word that was left somewhere may keep one or two. */
	CHECK(count_alive(hidden, MANY) <= 3);
	CHECK(!tri_pool_get(pool));

	/* What is in the victim is there to be taken, and counts as new when it is put in again. */
	put_witnesses(0, MANY, hidden);
	collect_times(1);
	put_witnesses(MANY, 1, NULL);
	CHECK(take_all(0, MANY + 1) == MANY + 1);
	put_witnesses(0, MANY, hidden);
	collect_times(1);
	CHECK(count_alive(hidden, MANY) == MANY);
	CHECK(take_all(0, MANY) == MANY);
	CHECK(!tri_pool_get(pool));
	return true;
}

NOINLINE static uintptr_t leave_pool(uintptr_t *hidden)
{
	uintptr_t address;

	make_pool();
	put_witnesses(0, MANY, hidden);
	address = hide(pool);
	tri_store(&pool, NULL);
	return address;
}

static bool dead_pool_is_collected(void)
{
	static uintptr_t hidden[MANY];
	uintptr_t address = leave_pool(hidden);

	collect_times(3);
	CHECK(!is_object(address));
	CHECK(count_alive(hidden, MANY) <= 3);
	return true;
}

/*
 * A pool does not keep memory from other uses for longer than two cycles: buffers of half the arena
 * are in a pool when twice as many of another kind are needed.
 */
static bool full_heap_drains(void)
{
	static void *hold[96];
	int round, i;

	setenv("TRICOLOR_ARENA_SIZE", "128MiB", 1);
	make_pool();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 96; i++)
			tri_pool_put(pool, tri_alloc_leaf(MIB));
		wipe_stack();
		for (i = 0; i < 96; i++) {
			tri_store(&hold[i], tri_alloc_leaf(MIB - 8192));
			if (!hold[i])
				ksft_print_msg("round %d, buffer %d\n", round, i);
			CHECK(hold[i]);
		}
		for (i = 0; i < 96; i++)
			tri_store(&hold[i], NULL);
	}
	return true;
}

/* Bursts that a pool keeps do not take the heap past its limit. */
static bool limit_is_kept(void)
{
	static void *hold[32];
	int round, i;

	setenv("TRICOLOR_MEMORY_LIMIT", "96MiB", 1);
	make_pool();
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 32; i++) {
			void *buffer = tri_pool_get(pool);

			/* Every second round throws away what it has, and makes its own. */
			if (!buffer || round % 2)
				buffer = tri_alloc_leaf(MIB);
			CHECK(buffer);
			memset(buffer, round, MIB);
			tri_store(&hold[i], buffer);
		}
		for (i = 0; i < 32; i++) {
			tri_pool_put(pool, hold[i]);
			tri_store(&hold[i], NULL);
		}
	}
	CHECK(read_stats().peak_heap_bytes < 160 * MIB);
	collect_times(2);
	CHECK(read_stats().live_bytes < 8 * MIB);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Several threads                                                                            */
/* ------------------------------------------------------------------------------------------ */

static struct event filled, done;

static void *fill(void *arg)
{
	put_witnesses(0, MANY, NULL);
	event_set(&filled);
	if (arg)
		event_wait(&done);
	return NULL;
}

/* The last one that a thread has put in is its own. */
static bool others_steal(void)
{
	pthread_t thread;

	make_pool();
	thread = start_thread(fill, &filled);
	event_wait(&filled);
	CHECK(take_all(0, MANY) == MANY - 1);
	event_set(&done);
	must(pthread_join(thread, NULL), "join");
	return true;
}

static void *take_them(void *arg)
{
	*(int *)arg = take_all(0, MANY);
	return NULL;
}

static bool thread_ends(void)
{
	int i, n;

	make_pool();
	for (i = 0; i < 20; i++) {
		pthread_t thread = start_thread(fill, NULL);

		must(pthread_join(thread, NULL), "join");
		CHECK(threads_are(1));
		/* A thread that gets its number has all. */
		if (i % 2) {
			thread = start_thread(take_them, &n);
			must(pthread_join(thread, NULL), "join");
			CHECK(n == MANY);
		} else {
			collect_times(i % 4 / 2);
			CHECK(take_all(0, MANY) == MANY - 1);
			/* The one that is left goes with its generation. */
			collect_times(2);
		}
	}
	return true;
}

static _Atomic bool over;
static _Atomic uint64_t faults, gets, reuses;
#define OUT ((struct witness *)&over)	/* a word that is no object */

static void *new_one(void *arg)
{
	struct witness *w;

	(void)arg;
	w = witness_new((uint64_t)gettid());
	tri_store(&w->next, OUT);
	return w;
}

static void *churn(void *arg)
{
	struct witness *mine[40];
	uint64_t seed = (uint64_t)(uintptr_t)arg;
	unsigned int n, i;

	while (!atomic_load(&over)) {
		n = 1 + (unsigned int)(draw(&seed) % 40);
		for (i = 0; i < n; i++) {
			mine[i] = tri_pool_get(pool);
			atomic_fetch_add(&gets, 1);
			if (!mine[i] || !witness_ok(mine[i], mine[i]->id)) {
				atomic_fetch_add(&faults, 1);
				return NULL;
			}
			if (mine[i]->next == OUT)
				continue;
			atomic_fetch_add(&reuses, 1);
			/* NULL while it is in the pool: if somebody else has it, it is OUT. */
			if (!tri_cas(&mine[i]->next, NULL, OUT))
				atomic_fetch_add(&faults, 1);
		}
		for (i = 0; i < n; i++) {
			if (!tri_cas(&mine[i]->next, OUT, NULL))
				atomic_fetch_add(&faults, 1);
			tri_pool_put(pool, mine[i]);
			tri_store(&mine[i], NULL);
		}
		/* Some threads only put, others mostly get. */
		if (seed % 3 == 0)
			tri_pool_put(pool, witness_new(1));
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	while (!atomic_load(&over)) {
		pthread_t thread = start_thread(fill, NULL);

		must(pthread_join(thread, NULL), "join");
	}
	return arg;
}

/* Threads get and put while cycles run, until @n cycles are complete or @ns is over. */
static bool churn_through(unsigned int n, uint64_t ns, void (*also)(void))
{
	uint64_t end = now_ns() + ns;
	pthread_t thread[5];
	uintptr_t i;

	tri_store(&pool, tri_pool_new(new_one, NULL, NULL));
	for (i = 0; i < 4; i++)
		thread[i] = start_thread(churn, (void *)(i + 1));
	thread[4] = start_thread(come_and_go, NULL);
	while (n-- && now_ns() < end) {
		if (also)
			also();
		collect();
	}
	atomic_store(&over, true);
	for (i = 0; i < 5; i++)
		must(pthread_join(thread[i], NULL), "join");
	ksft_print_msg("%llu gets, %llu from the pool, %llu cycles\n", (unsigned long long)gets,
		       (unsigned long long)reuses, (unsigned long long)read_stats().cycles);
	CHECK(!faults);
	CHECK(reuses);
	return true;
}

static bool threads_churn(void)
{
	return churn_through(40, PATIENCE_NS / 2, NULL);
}

static void kill_collector(void)
{
	uint64_t pid = read_stats().collector_pid;

	if (pid && pid != (uint64_t)getpid())
		kill((pid_t)pid, SIGKILL);
}

static bool collectors_die(void)
{
	return churn_through(10, PATIENCE_NS / 2, kill_collector);
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static int child_of_filled(void)
{
	/* The parent's objects are not there, and new ones are kept as in any process. */
	if (tri_pool_get(pool))
		return 1;
	put_witnesses(0, MANY, NULL);
	collect();
	if (take_all(0, MANY) != MANY)
		return 2;
	put_witnesses(0, MANY, NULL);
	collect_times(2);
	return tri_pool_get(pool) ? 3 : 0;
}

static bool child_is_empty(void)
{
	pid_t pid;

	make_pool();
	collect();
	put_witnesses(0, MANY, NULL);
	pid = fork();
	if (!pid)
		_exit(child_of_filled());
	CHECK(status_of(pid) == 0);
	CHECK(take_all(0, MANY) == MANY);
	return true;
}

static void fork_once(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		unsigned int i;

		/* Whatever other threads were doing. */
		for (i = 0; i < 500; i++) {
			struct witness *w = tri_pool_get(pool);

			if (!w || w->next != OUT || !witness_ok(w, w->id))
				_exit(1);
			if (i == 250)
				collect();
			if (i % 2) {
				tri_store(&w->next, NULL);
				tri_pool_put(pool, w);
				w = tri_pool_get(pool);
				if (!w || !witness_ok(w, w->id))
					_exit(2);
			}
		}
		_exit(0);
	}
	status = status_of(pid);
	if (status) {
		ksft_print_msg("a child ended with %#x\n", (unsigned int)status);
		atomic_fetch_add(&faults, 1);
	}
}

static bool churners_fork(void)
{
	return churn_through(10, PATIENCE_NS, fork_once);
}

static bool churn_with_debug(void)
{
	struct tri_view v;

	CHECK(churn_through(strstr(getenv("TRICOLOR_DEBUG"), "gc=") ? 5 : 20, PATIENCE_NS / 5,
			    NULL));
	collect();
	CHECK(arena_find(&v) && tri_read(&v.ctl->checkmark_missed) == 0);
	return true;
}

static const struct part parts[] = {
	{ "taken", takes_what_was_put, "", "what is put in is taken out", NULL, NULL },
	{ "rings", rings_go_round, "", "rings go round", NULL, NULL },
	{ "callbacks", callbacks_do_anything, "", "make() and reset() jump, get and put", NULL,
	  NULL },
	{ "second", second_cycle_drains, "", "the second cycle drains", NULL, NULL },
	{ "dead", dead_pool_is_collected, "", "a pool is collected", NULL, NULL },
	{ "full", full_heap_drains, "", "a full heap drains pools", NULL, NULL },
	{ "limit", limit_is_kept, "", "a memory limit is kept", NULL, NULL },
	{ "other", others_steal, "", "other threads take what is there", NULL, NULL },
	{ "ends", thread_ends, "", "a thread ends", NULL, NULL },
	{ "threads", threads_churn, "", "threads get and put while cycles run", NULL, NULL },
	{ "die", collectors_die, "", "and while collectors die", NULL, NULL },
	{ "child", child_is_empty, "", "a child's pools are empty", NULL, NULL },
	{ "forks", churners_fork, "", "threads get and put while others fork", NULL, NULL },
	{ "checkmark", churn_with_debug, "checkmark", "with checkmark", NULL, NULL },
	{ "clobber", churn_with_debug, "clobberfree", "with clobberfree", NULL, NULL },
	{ "norseq", churn_with_debug, "norseq", "with norseq", NULL, NULL },
	{ "nomembarrier", churn_with_debug, "nomembarrier", "with nomembarrier", NULL, NULL },
	{ "steps", churn_with_debug, "gc=200", "with gc=200", NULL, NULL },
	{ "barriers", churn_with_debug, "barriers=abort", "with barriers", NULL, NULL },
};

int main(int argc, char **argv)
{
	/* A collector of its own for every process. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	return run_parts(parts, sizeof(parts) / sizeof(parts[0]), argc, argv);
}
