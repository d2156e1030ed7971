// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_attach.c - every thread that may hold a pointer is scanned, whoever made it
 *
 * Threads whose first call is one that allocates nothing; threads that never call the library and
 * were made by the C library's own pthread_create(), or by clone() without thread-local variables;
 * one that hands its only pointer on to a thread that it makes, and ends, while cycles run.  Each
 * scenario is a process of its own.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/scenario.h"
#include "lib/witness.h"

#define ID(n) (0xa77ac4ull << 32 | (uint64_t)(n))

static struct witness *volatile root;

/* The C library's own: this library does not see the thread begin. */
static int (*libc_pthread_create)(pthread_t *thread, const pthread_attr_t *attr,
				  void *(*fn)(void *),
				  void *arg);

static pthread_t start_uninterposed(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	int err = libc_pthread_create(&thread, NULL, fn, arg);

	if (err)
		ksft_exit_fail_msg("pthread_create: %s\n", strerror(err));
	return thread;
}

static NOINLINE void fill_root(uint64_t id)
{
	tri_store(&root, witness_new(id));
}

/* Only by reading: no call of the library. */
static bool looks_right(const struct witness *w, uint64_t id)
{
	return w->id == id && w->check == witness_check(id);
}

/* Garbage in the slots of what was freed. */
static NOINLINE void churn(void)
{
	int i;

	for (i = 0; i < 20000; i++)
		memset(tri_alloc(sizeof(struct witness)), 0x55, sizeof(struct witness));
}

/* ------------------------------------------------------------------------------------------ */
/* The first call                                                                             */
/* ------------------------------------------------------------------------------------------ */

static void init(void)
{
	tri_init(NULL);
}

static void stats(void)
{
	read_stats();
}

static void percent(void)
{
	tri_set_gc_percent(100);
}

static void limit(void)
{
	tri_set_memory_limit(-1);
}

static void add_root(void)
{
	static void *cell;

	tri_root_add(&cell, sizeof(cell));
}

static void new_handle(void)
{
	tri_handle_new(NULL);
}

static void pressure(void)
{
	tri_on_pressure(NULL, NULL);
}

static void (*const first_calls[])(void) = { init,     stats,	   percent, limit,
					     add_root, new_handle, pressure };

static struct event filled, loaded, collected;

static void *fill_and_collect(void *unused)
{
	fill_root(ID(1));
	wipe_stack();
	event_set(&filled);
	while (!event_is_set(&loaded))
		sched_yield();
	tri_store(&root, (struct witness *)NULL);
	collect_times(2);
	churn();
	event_set(&collected);
	return unused;
}

/* The thread that makes this call loads a pointer then, and makes no other. */
static bool first_call(int n)
{
	struct witness *volatile mine;
	pthread_t thread;

	first_calls[n]();
	CHECK(!pthread_create(&thread, NULL, fill_and_collect, NULL));
	while (!event_is_set(&filled))
		;
	mine = root;
	event_set(&loaded);
	while (!event_is_set(&collected))
		;
	CHECK(looks_right(mine, ID(1)));
	return true;
}

static bool test_first_calls(void)
{
	size_t i;

	for (i = 0; i < sizeof(first_calls) / sizeof(first_calls[0]); i++) {
		if (!scenario_with(first_call, (int)i)) {
			ksft_print_msg("first call %zu\n", i);
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Threads that nobody saw begin                                                              */
/* ------------------------------------------------------------------------------------------ */

enum { SPIN, SLEEP, HANDLER };

static struct event let_go;
static volatile int signal_stack_is_used;

static void spin(int sig)
{
	(void)sig;
	signal_stack_is_used = 1;
	event_set(&loaded);
	while (!event_is_set(&let_go))
		;
}

static void *hold(void *arg)
{
	struct witness *volatile mine = root;
	int how = (int)(intptr_t)arg;
	struct sigaction act = { .sa_handler = spin, .sa_flags = SA_ONSTACK };
	stack_t ss = { .ss_size = 65536 };

	if (how == HANDLER) {
		ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sigaltstack(&ss, NULL) || sigaction(SIGUSR1, &act, NULL) || raise(SIGUSR1))
			return NULL;
	} else {
		event_set(&loaded);
		if (how == SLEEP)
			event_wait(&let_go);
		while (!event_is_set(&let_go))
			;
	}
	return looks_right(mine, ID(2)) ? (void *)1 : NULL;
}

static bool uninterposed(int how)
{
	pthread_t thread;
	void *right;

	fill_root(ID(2));
	thread = start_uninterposed(hold, (void *)(intptr_t)how);
	event_wait(&loaded);
	tri_store(&root, (struct witness *)NULL);
	collect_times(3);
	churn();
	event_set(&let_go);
	CHECK(!pthread_join(thread, &right));
	CHECK(right);
	return true;
}

#define MANY 200

static struct witness *volatile many[MANY];
static _Atomic int holders;

static void *hold_one(void *arg)
{
	long n = (long)(intptr_t)arg;
	struct witness *volatile mine = many[n];

	atomic_fetch_add(&holders, 1);
	event_wait(&let_go);
	return mine && looks_right(mine, ID(n)) ? (void *)1 : NULL;
}

static NOINLINE void fill_many(void)
{
	long i;

	for (i = 0; i < MANY; i++)
		tri_store(&many[i], witness_new(ID(i)));
}

static bool uninterposed_many(int unused)
{
	pthread_t thread[MANY];
	void *right;
	long i;

	(void)unused;
	fill_many();
	for (i = 0; i < MANY; i++)
		thread[i] = start_uninterposed(hold_one, (void *)(intptr_t)i);
	while (atomic_load(&holders) != MANY)
		sched_yield();
	for (i = 0; i < MANY; i++)
		tri_store(&many[i], (struct witness *)NULL);
	collect_times(3);
	churn();
	event_set(&let_go);
	for (i = 0; i < MANY; i++) {
		CHECK(!pthread_join(thread[i], &right));
		CHECK(right);
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* From hand to hand                                                                          */
/* ------------------------------------------------------------------------------------------ */

static _Atomic int hops;
static _Atomic uintptr_t at_the_end;	/* hidden: no root */
static struct event stop;

/* Has the only pointer; hands it on to a thread that it makes, and ends. */
static void *relay(void *arg)
{
	pthread_attr_t attr;
	pthread_t next;

	atomic_fetch_add(&hops, 1);
	if (event_is_set(&stop)) {
		struct witness *volatile mine = arg;

		atomic_store(&at_the_end, looks_right(mine, ID(3)) ? 1 : 2);
		return NULL;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (libc_pthread_create(&next, &attr, relay, arg))
		sched_yield();
	pthread_attr_destroy(&attr);
	return NULL;
}

static NOINLINE void start_relay(void)
{
	relay(witness_new(ID(3)));
}

static bool from_hand_to_hand(int unused)
{
	int i;

	(void)unused;
	start_relay();
	wipe_stack();
	for (i = 0; i < 100; i++) {
		collect();
		memset(tri_alloc(sizeof(struct witness)), 0x55, sizeof(struct witness));
	}
	churn();
	event_set(&stop);
	while (!atomic_load(&at_the_end))
		sched_yield();
	ksft_print_msg("%d threads had the pointer in 100 cycles\n", atomic_load(&hops));
	CHECK(atomic_load(&at_the_end) == 1);
	return true;
}

static void *nothing(void *unused)
{
	return unused;
}

static void *make_threads(void *unused)
{
	while (!event_is_set(&stop))
		pthread_join(start_uninterposed(nothing, NULL), NULL);
	return unused;
}

/* New threads all the time: a cycle comes to an end. */
static bool storm(int seen)
{
	pthread_t thread[6];
	int i;

	for (i = 0; i < 6; i++) {
		if (seen)
			CHECK(!pthread_create(&thread[i], NULL, make_threads, NULL));
		else
			thread[i] = start_uninterposed(make_threads, NULL);
	}
	for (i = 0; i < 30; i++)
		CHECK(!tri_gc());
	event_set(&stop);
	for (i = 0; i < 6; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(read_stats().reconnects == 0);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* A thread without thread-local variables of its own                                         */
/* ------------------------------------------------------------------------------------------ */

static volatile int raw_right;
static volatile int raw_tid;

/* May call nothing: errno and all else is the maker's. */
static __attribute__((no_sanitize("address"))) int bare(void *unused)
{
	struct witness *volatile mine = root;

	(void)unused;
	loaded.happened = 1;
	while (!let_go.happened)
		;
	raw_right = mine->id == ID(4) && mine->check == witness_check(ID(4)) ? 1 : 2;
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
	return 0;
}

static bool without_tls(int unused)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i, tid;

	(void)unused;
	fill_root(ID(4));
	tid = clone(bare, stack + 65536,
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM,
		    NULL);
	CHECK(tid > 0);
	event_wait(&loaded);
	tri_store(&root, (struct witness *)NULL);
	for (i = 0; i < 50; i++)
		collect_times(1);
	churn();
	event_set(&let_go);
	wait_gone(tid);
	CHECK(raw_right == 1);
	CHECK(read_stats().reconnects == 0);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* In a descriptor only                                                                       */
/* ------------------------------------------------------------------------------------------ */

static volatile pid_t ended_tid;

static void *return_root(void *unused)
{
	(void)unused;
	ended_tid = gettid();
	return root;
}

static NOINLINE pthread_t result_of_uninterposed(void)
{
	pthread_t thread;

	fill_root(ID(5));
	thread = start_uninterposed(return_root, NULL);
	while (!ended_tid)
		sched_yield();
	wait_gone(ended_tid);
	tri_store(&root, (struct witness *)NULL);
	return thread;
}

/* What a thread has returned that nobody has joined yet. */
static bool uninterposed_result(int unused)
{
	pthread_t other, thread;
	void *result;

	(void)unused;
	/* One that lives, so that it is known that threads are made by others. */
	other = start_uninterposed(hold_one, NULL);
	collect_times(2);
	thread = result_of_uninterposed();
	collect_times(3);
	churn();
	CHECK(!pthread_join(thread, &result));
	CHECK(looks_right(result, ID(5)));
	event_set(&let_go);
	CHECK(!pthread_join(other, NULL));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* A thread that can't be attached                                                            */
/* ------------------------------------------------------------------------------------------ */

#define LIST 100000

/*
 * Objects that have some pointers in turn: one is marked early, the other late.  The pointer that
 * is just on its way is on a stack; the others are not.
 */
#define MOVED 5
static uintptr_t places[2];		/* hidden: no roots */
static struct event limited;
static volatile int mover_failed;
static volatile uint64_t moves;

static NOINLINE void move_once(struct witness *from, struct witness *to, int n)
{
	(tri_store)(&to->pad[n], (void *)from->pad[n]);
	(tri_store)(&from->pad[n], NULL);
}

/* There is no memory for its record, as if there were no slot. */
static void *move_pointer(void *unused)
{
	unsigned int i = 0;
	int n;

	event_set(&loaded);
	event_wait(&limited);
	if (tri_alloc(64) || errno != EAGAIN)
		mover_failed = 1;
	for (; !event_is_set(&stop); i ^= 1, moves++) {
		uint64_t until = now_ns() + 300000;

		for (n = 0; n < MOVED; n++)
			move_once(reveal(places[i]), reveal(places[i ^ 1]), n);
		/* Mostly it is scanned when it has none of them. */
		wipe_stack();
		while (now_ns() < until)
			;
	}
	return unused;
}

/* Objects that are marked one after the other, and after them @last. */
static NOINLINE struct witness *list_before(struct witness *last)
{
	long i;

	for (i = 0; i < LIST; i++) {
		struct witness *w = witness_new(ID(6));

		tri_store(&w->next, last);
		last = w;
	}
	return last;
}

static NOINLINE void fill_places(void)
{
	struct witness *first = witness_new(ID(7)), *last = witness_new(ID(8));
	int i;

	for (i = 0; i < MOVED; i++)
		(tri_store)(&first->pad[i], witness_new(ID(100 + i)));
	tri_store(&first->next, list_before(last));
	tri_store(&root, list_before(first));
	places[0] = hide(first);
	places[1] = hide(last);
}

static bool no_slot(int unused)
{
	struct rlimit none = { 1 << 20, RLIM_INFINITY }, old;
	const struct witness *w;
	pthread_t mover;
	int i;

	(void)unused;
	fill_places();
	mover = start_uninterposed(move_pointer, NULL);
	event_wait(&loaded);
	collect_times(2);
	CHECK(!getrlimit(RLIMIT_AS, &old));
	none.rlim_max = old.rlim_max;
	CHECK(!setrlimit(RLIMIT_AS, &none));
	event_set(&limited);
	while (moves < 100)
		sched_yield();
	for (i = 0; i < 60; i++) {
		collect();
		memset(tri_alloc(sizeof(struct witness)), 0x55, sizeof(struct witness));
	}
	event_set(&stop);
	CHECK(!pthread_join(mover, NULL));
	CHECK(!setrlimit(RLIMIT_AS, &old));
	churn();
	w = reveal(places[0]);
	if (!w->pad[0])
		w = reveal(places[1]);
	ksft_print_msg("%llu moves in 60 cycles\n", (unsigned long long)moves);
	CHECK(!mover_failed);
	for (i = 0; i < MOVED; i++)
		CHECK(looks_right((void *)w->pad[i], ID(100 + i)));
	CHECK(read_stats().reconnects == 0);
	return true;
}

int main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	libc_pthread_create =
		libc ? (__typeof__(libc_pthread_create))dlsym(libc, "pthread_create") : NULL;
	ksft_print_header();
	ksft_set_plan(11);
	if (!libc_pthread_create)
		ksft_exit_fail_msg("no pthread_create() in libc.so.6\n");
	ksft_test_result(test_first_calls(), "the first call attaches, whichever it is\n");
	ksft_test_result(scenario_with(uninterposed, SPIN),
			 "a thread that nobody saw begin, in a loop\n");
	ksft_test_result(scenario_with(uninterposed, SLEEP), "asleep\n");
	ksft_test_result(scenario_with(uninterposed, HANDLER), "in a handler on a signal stack\n");
	ksft_test_result(scenario_with(uninterposed_many, 0), "%d of them\n", MANY);
	ksft_test_result(scenario_with(from_hand_to_hand, 0),
			 "the pointer goes from thread to thread\n");
	ksft_test_result(scenario_with(storm, 0), "threads of the C library make threads all the time\n");
	ksft_test_result(scenario_with(storm, 1),
			 "attached threads make such threads all the time\n");
	ksft_test_result(scenario_with(without_tls, 0),
			 "a thread that shares its maker's thread-local variables\n");
	ksft_test_result(scenario_with(uninterposed_result, 0),
			 "the result of a thread that nobody saw begin\n");
	ksft_test_result(scenario_with(no_slot, 0),
			 "a thread that can't be attached stores pointers\n");
	ksft_finished();
}
