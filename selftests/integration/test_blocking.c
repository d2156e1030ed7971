// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_blocking.c - handlers that interrupt a blocking region, and what leaves one
 *
 * While a thread is in a blocking region the agent answers for it, from where the region began.  A
 * handler that interrupts it and allocates, stores or polls ends it: what the handler holds is kept
 * from then on.  A jump out of a region, by whatever function, leaves nothing behind that a cycle
 * could wait for, or believe.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#include "kselftest_harness.h"
#include "lib/witness.h"

#define ID(n) (0xb10c000000000000ull + (uint64_t)(n))
#define ROUNDS 20

static _Atomic int stop, in_handler, go, collected;
static struct witness *shared_list;	/* a root */

/* Cycles until what the handler may have lost would be overwritten. */
static void *collect_for_handler(void *arg)
{
	int i;

	while (!stop) {
		if (in_handler != 1) {
			sched_yield();
			continue;
		}
		for (i = 0; i < 2; i++)
			collect();
		for (i = 0; i < 2000; i++)
			witness_new(ID(0xdead));
		in_handler = 2;
	}
	return arg;
}

static void wait_for_cycles(void)
{
	in_handler = 1;
	while (in_handler == 1)
		;
}

static volatile int wrong, handled;

/* The only pointer to an object is in this frame. */
static NOINLINE void hold_new(void)
{
	struct witness *volatile w = witness_new(ID(1));

	wait_for_cycles();
	wrong += !witness_ok(w, ID(1));
}

static NOINLINE struct witness *take_first(void)
{
	struct witness *w = shared_list;

	tri_store(&shared_list, NULL);
	return w;
}

static NOINLINE void hold_loaded(void)
{
	struct witness *volatile w;

	tri_poll();
	w = take_first();
	wait_for_cycles();
	wrong += !witness_ok(w, ID(2));
}

/* A region in the handler, while it holds an object. */
static NOINLINE void hold_in_region(void)
{
	struct witness *volatile w;

	tri_poll();
	w = take_first();
	in_handler = 1;
	while (in_handler == 1)
		poll(NULL, 0, 1);
	wrong += !witness_ok(w, ID(2));
}

static void (*in_region)(void);

static void handler(int sig)
{
	(void)sig;
	in_region();
	handled++;
}

static void check_handler(void (*fn)(void))
{
	struct sigaction act = { .sa_handler = handler };
	pthread_t t;
	int i;

	setenv("TRICOLOR_DEBUG", "clobberfree", 1);
	in_region = fn;
	ASSERT_EQ(0, pthread_create(&t, NULL, collect_for_handler, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	for (i = 0; i < ROUNDS; i++) {
		tri_store(&shared_list, witness_new(ID(2)));
		tri_blocking_enter();
		raise(SIGUSR1);
		tri_blocking_exit();
		/* Once more, in a region that the library began. */
		tri_store(&shared_list, witness_new(ID(2)));
		alarm(0);
		{
			struct itimerval it = { { 0, 0 }, { 0, 1000 } };

			signal(SIGALRM, handler);
			setitimer(ITIMER_REAL, &it, NULL);
			while (handled < 2 * (i + 1))
				poll(NULL, 0, 100);
		}
	}
	stop = 1;
	pthread_join(t, NULL);
	EXPECT_EQ(0, wrong);
}

TEST(handler_allocates)
{
	check_handler(hold_new);
}

TEST(handler_loads_after_poll)
{
	check_handler(hold_loaded);
}

TEST(handler_has_region)
{
	check_handler(hold_in_region);
}

/* ------------------------------------------------------------------------------------------ */
/* Jumps                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static void *env[5];			/* of __builtin_setjmp(), which nobody can stand in front
					 * of */
static sigjmp_buf sig_env;
static ucontext_t context;
static volatile int armed, how;

static void jump_out(int sig)
{
	sigset_t set;

	(void)sig;
	if (!armed)
		return;
	armed = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	switch (how) {
	case 0:
		siglongjmp(sig_env, 1);
	case 1:
		setcontext(&context);
		break;
	case 2:
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		__builtin_longjmp(env, 1);
	}
}

static void *collect_until_stop(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	go = 1;
	while (!stop) {
		collect();
		collected++;
	}
	return arg;
}

static NOINLINE void block_for_good(void)
{
	armed = 1;
	for (;;) {
		poll(NULL, 0, 0);
		tri_blocking_enter();
		tri_blocking_exit();
	}
}

static NOINLINE void one_round(void)
{
	volatile int again = 0;

	switch (how) {
	case 0:
		if (!sigsetjmp(sig_env, 1))
			block_for_good();
		break;
	case 1:
		getcontext(&context);
		if (!again++)
			block_for_good();
		break;
	case 2:
		if (!__builtin_setjmp(env))
			block_for_good();
		break;
	}
}

static void check_jumps(int by)
{
	struct itimerval it = { { 0, 200 }, { 0, 200 } };
	struct sigaction act = { .sa_handler = jump_out };
	struct witness *volatile w = witness_new(ID(0));
	unsigned long rounds = 0;
	pthread_t t;

	how = by;
	ASSERT_EQ(0, pthread_create(&t, NULL, collect_until_stop, NULL));
	while (!go)
		sched_yield();
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
	while (rounds < 1000 || collected < 100) {
		rounds++;
		one_round();
		/* What this holds has to be seen, whatever was left behind. */
		EXPECT_TRUE(witness_ok(w, ID(rounds - 1)));
		w = witness_new(ID(rounds));
	}
	it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	setitimer(ITIMER_REAL, &it, NULL);
	stop = 1;
	pthread_join(t, NULL);
}

TEST(siglongjmp)
{
	check_jumps(0);
}

TEST(setcontext)
{
	check_jumps(1);
}

TEST(builtin_longjmp)
{
	check_jumps(2);
}

/* ------------------------------------------------------------------------------------------ */
/* The library's own waits                                                                    */
/* ------------------------------------------------------------------------------------------ */

struct node {
	struct node *next;
	char pad[200];
};

static struct node *head;
static volatile unsigned long ticks, work;

static void poll_in_handler(int sig)
{
	(void)sig;
	ticks++;
	poll(NULL, 0, 0);
}

/*
 * Allocation as fast as it goes waits for the collector again and again; the timer's handler comes
 * then too.
 */
TEST(assist_interrupted)
{
	struct itimerval it = { { 0, 300 }, { 0, 300 } };
	struct sigaction act = { .sa_handler = poll_in_handler, .sa_flags = SA_RESTART };
	uint64_t cycles;
	unsigned long i;

	tri_set_gc_percent(20);
	cycles = read_stats().cycles;
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
	for (i = 0; read_stats().cycles < cycles + 30 || ticks < 300; i++) {
		struct node *n;

		n = tri_alloc(sizeof(*n));
		ASSERT_TRUE(n != NULL);
		tri_store(&n->next, i % 300000 ? head : NULL);
		tri_store(&head, n);
	}
	EXPECT_EQ(0, wrong);
}

static void *wait_to_be_cancelled(void *arg)
{
	struct witness *volatile w = witness_new(ID(9));

	go = 1;
	for (;;)
		poll(NULL, 0, -1);
	return witness_ok(w, ID(9)) ? NULL : arg;
}

TEST(cancelled_in_region)
{
	pthread_t t;
	void *result;
	int i;

	for (i = 0; i < 100; i++) {
		go = 0;
		ASSERT_EQ(0, pthread_create(&t, NULL, wait_to_be_cancelled, NULL));
		while (!go)
			sched_yield();
		ASSERT_EQ(0, pthread_cancel(t));
		ASSERT_EQ(0, pthread_join(t, &result));
		EXPECT_TRUE(result == PTHREAD_CANCELED);
		collect();
	}
}

TEST_HARNESS_MAIN
