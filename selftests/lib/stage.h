/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stage.h - threads that do one thing at a time, when the test says so
 *
 * The test's own thread decides what happens in which order.  It holds the agent or the collector
 * at a point (points.h), has an actor do something, and releases the point.  The only cycles are
 * those that the test asks for.
 *
 * A test keeps hold of an object as a number, hidden(), which no scan takes for a pointer.  That
 * stands for a pointer on a stack that has been scanned already, or is yet to be scanned and will
 * be gone by then.  is_alive() asks afterwards whether the cycle kept the object.
 */
#ifndef TRICOLOR_SELFTESTS_STAGE_H
#define TRICOLOR_SELFTESTS_STAGE_H

#include <pthread.h>

#include "points.h"
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

/* Inline, so that no frame but the caller's has the address. */
static inline uintptr_t hidden(const void *p)
{
	return (uintptr_t)p ^ KEY;
}

static inline void *shown(uintptr_t number)
{
	return (void *)(number ^ KEY);
}

/** Whether the object is allocated; after a cycle this is whether the cycle marked it. */
bool is_alive(uintptr_t number);

/** futex(2); waits for a tenth of a second at most. */
void stage_futex(_Atomic uint32_t *word, int op, uint32_t value);

/**
 * Wait until the actor has done what it was asked for last.  False: it has not, after PATIENCE_NS.
 */
bool actor_finished(struct actor *a);

/** Have @a begin with @fn(@arg); actor_finished() waits for its end. */
void actor_ask(struct actor *a, void (*fn)(void *arg), void *arg);

/** Both: ask, and wait. */
bool actor_does(struct actor *a, void (*fn)(void *arg), void *arg);

/** Start the actor's thread, and end it.  False: it can't be started, or does not answer. */
bool actor_start(struct actor *a);
bool actor_end(struct actor *a);

/* A thread that asks for cycles, and does nothing else. */
extern struct actor collector;

/** Ask for a cycle, without waiting for it. */
void cycle_begin(void);

/** Wait until the cycle has ended.  False: it does not end, or it failed. */
bool cycle_ended(void);

/** Both: ask, and wait. */
bool cycle_whole(void);

/** To be called first in a test: starts a heap that runs no cycle by itself. */
bool stage_open(void);

/* Objects of the size that tests use if the size does not matter. */
struct box {
	struct box *at[8];
};

/*
 * A box in the heap that a global points to.  Each of its slots points to a box that nothing else
 * points to.
 */
extern struct box *box;

/** For actors: fill the box, the old objects, drop every other one, the fresh objects. */
void stage_fill_box(void *arg);

/* Many objects of a class that no other object of the program has. */
#define OBJECTS 400
#define CLASS_BYTES 112

extern void *old_objects[OBJECTS], *fresh[OBJECTS];	/* roots */

void stage_make_old(void *unused);
void stage_drop_half(void *unused);
void stage_make_fresh(void *unused);

#endif
