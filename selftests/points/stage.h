/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stage.h - threads that do one thing at a time, when the test says so
 *
 * The test's own thread says what happens in which order: it holds the agent or the collector at a
 * point (integration/points.h), has an actor do something, and lets go.  Cycles are those that the
 * test asks for.
 *
 * A test keeps hold of an object as a number, hidden(), which no scan takes for a pointer.  That
 * stands for a pointer on a stack that has been scanned already, or is yet to be scanned and will be
 * gone by then.  is_alive() asks afterwards whether the cycle kept the object.
 */
#ifndef TRICOLOR_SELFTESTS_STAGE_H
#define TRICOLOR_SELFTESTS_STAGE_H

#include <pthread.h>

#include "integration/points.h"
#include "kselftest_harness.h"
#include "tricolor.h"

struct actor {
	pthread_t thread;
	pid_t tid;
	_Atomic uint32_t asked, done;	/* futexes */
	void (*fn)(void *arg);		/* NULL: end */
	void *arg;
};

#define KEY 0x5555000000000000ull

static inline uintptr_t hidden(const void *p)
{
	return (uintptr_t)p ^ KEY;
}

static inline void *shown(uintptr_t number)
{
	return (void *)(number ^ KEY);
}

/* Whether the object is allocated: after a cycle, whether that marked it. */
static inline bool is_alive(uintptr_t number)
{
	return tri_usable_size(shown(number)) != 0;
}

static inline void stage_futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	struct timespec tick = { 0, 100000000 };

	syscall(SYS_futex, word, op, value, &tick, NULL, 0);
}

/* What an action has left on the stack below its caller. */
static __attribute__((noinline)) void scrub(void)
{
	char below[32768];

	memset(below, 0, sizeof(below));
	__asm__ volatile("" : : "r"(below) : "memory");
}

static inline void *actor_main(void *arg)
{
	struct actor *a = arg;

	tri_thread_attach();
	a->tid = gettid();
	for (;;) {
		uint32_t done = atomic_load(&a->done);

		atomic_store(&a->done, done + 1);
		stage_futex(&a->done, FUTEX_WAKE, INT_MAX);
		while (atomic_load(&a->asked) == done)
			stage_futex(&a->asked, FUTEX_WAIT, done);
		if (!a->fn)
			return NULL;
		a->fn(a->arg);
		scrub();
	}
}

static inline bool actor_finished(struct actor *a)
{
	return WAIT_FOR(atomic_load(&a->done) == atomic_load(&a->asked) + 1, 20000, PATIENCE_NS);
}

/* Have @a begin with @fn(@arg); actor_finished() waits for its end. */
static inline void actor_ask(struct actor *a, void (*fn)(void *arg), void *arg)
{
	a->fn = fn;
	a->arg = arg;
	atomic_fetch_add(&a->asked, 1);
	stage_futex(&a->asked, FUTEX_WAKE, INT_MAX);
}

static inline bool actor_does(struct actor *a, void (*fn)(void *arg), void *arg)
{
	actor_ask(a, fn, arg);
	return actor_finished(a);
}

static inline bool actor_start(struct actor *a)
{
	memset(a, 0, sizeof(*a));
	return !pthread_create(&a->thread, NULL, actor_main, a) && actor_finished(a);
}

static inline bool actor_end(struct actor *a)
{
	actor_ask(a, NULL, NULL);
	return !pthread_join(a->thread, NULL);
}

/* A cycle, asked for by a thread that does nothing else. */
static struct actor collector;
static int cycle_result;

static inline void stage_cycle(void *unused)
{
	(void)unused;
	cycle_result = tri_gc();
}

static inline void cycle_begin(void)
{
	cycle_result = -1;
	actor_ask(&collector, stage_cycle, NULL);
}

/* False if it does not end, or fails. */
static inline bool cycle_ended(void)
{
	return actor_finished(&collector) && cycle_result == 0;
}

static inline bool cycle_whole(void)
{
	cycle_begin();
	return cycle_ended();
}

/* The first thing in a test: a heap in which nothing happens by itself. */
static inline bool stage_open(void)
{
	points_open();
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	setenv("TRICOLOR_SOCKET", "off", 1);
	return !tri_thread_attach() && actor_start(&collector) && cycle_whole();
}

/* Some objects of the size that tests use where it does not matter. */
struct box {
	struct box *at[8];
};

/* The heap's box that a global holds, with another in each place that nobody else knows. */
static struct box *box;

static inline void stage_fill_box(void *arg)
{
	struct box *b = tri_alloc(sizeof(*b));
	int i;

	(void)arg;
	for (i = 0; i < 8; i++)
		tri_store(&b->at[i], tri_alloc(sizeof(struct box)));
	tri_store(&box, b);
}

/* Many objects of a class that nothing else here uses. */
#define OBJECTS 400
#define CLASS_BYTES 112

static void *old_objects[OBJECTS], *fresh[OBJECTS];	/* roots */

static inline void stage_make_old(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++)
		tri_store(&old_objects[i], tri_alloc(CLASS_BYTES));
}

static inline void stage_drop_half(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i += 2)
		tri_store(&old_objects[i], NULL);
}

static inline void stage_make_fresh(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++)
		tri_store(&fresh[i], tri_alloc(CLASS_BYTES));
}

#endif
