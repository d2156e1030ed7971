// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_finalizers.c - cleanups and finalizers are set, stopped and called while a cycle is at a
 * chosen place
 *
 * The program calls what is queued, in the thread and at the moment that the test says.  Threads
 * keep what they get as a number, which stands for a word of a stack that has been scanned.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/stage.h"

FIXTURE(stage)
{
	struct actor subject, other;
};

static struct box *held;			/* a root */
static struct tri_cleanup cleanup;
static uintptr_t object, referent, argument;
static int calls, call_error, stop_result;

/* The functions keep what they were called with. */
static void on_death(void *o, void *arg)
{
	struct box *b = o;

	calls++;
	object = hidden(b);
	referent = hidden(b->at[0]);
	argument = hidden(arg);
}

static void on_cleanup(void *arg)
{
	calls++;
	argument = hidden(arg);
}

/* One object with a referent, in the root. */
static void make(void *unused)
{
	(void)unused;
	tri_store(&held, tri_alloc(sizeof(struct box)));
	tri_store(&held->at[0], tri_alloc(sizeof(struct box)));
}

static void set_finalizer(void *unused)
{
	(void)unused;
	call_error |= tri_set_finalizer(held, on_death, tri_alloc(sizeof(struct box)));
}

static void add_cleanup(void *unused)
{
	void *arg = tri_alloc(sizeof(struct box));

	(void)unused;
	argument = hidden(arg);
	call_error |= tri_add_cleanup(held, on_cleanup, arg, &cleanup);
}

static void drop(void *unused)
{
	(void)unused;
	tri_store(&held, NULL);
}

static void call_all(void *unused)
{
	int n;

	(void)unused;
	while ((n = tri_run_finalizers(1)) > 0)
		;
	call_error |= n;
}

static void stop_cleanup(void *unused)
{
	(void)unused;
	stop_result = tri_cleanup_stop(cleanup);
}

FIXTURE_SETUP(stage)
{
	setenv("TRICOLOR_FINALIZERS", "program", 1);
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_start(&self->other));
	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_EQ(0, call_error);
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&self->other));
	EXPECT_TRUE(actor_end(&collector));
}

/* Set by @set, and queued. */
static bool is_queued(struct actor *a, void (*set)(void *unused))
{
	return actor_does(a, set, NULL) && actor_does(a, drop, NULL) && cycle_whole();
}

/* Have @a call what is queued when all stacks have been scanned; then the cycle ends. */
static bool calls_in_cycle(struct actor *a)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);
	bool did;

	cycle_begin();
	did = point_reached(scanned) && actor_does(a, call_all, NULL);
	return point_release(scanned) && cycle_ended() && did;
}

/* The record is gone before the collector comes to the records. */
TEST_F(stage, an_object_that_is_taken_after_the_scan_is_kept)
{
	ASSERT_TRUE(is_queued(&self->subject, set_finalizer));
	ASSERT_TRUE(calls_in_cycle(&self->subject));
	ASSERT_EQ(1, calls);
	EXPECT_TRUE(is_alive(object));
	EXPECT_TRUE(is_alive(referent));
	EXPECT_TRUE(is_alive(argument));
	/* They were kept for that thread, and it has only their numbers. */
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(object));
	EXPECT_FALSE(is_alive(argument));
}

TEST_F(stage, an_argument_that_is_taken_after_the_scan_is_kept)
{
	ASSERT_TRUE(is_queued(&self->subject, add_cleanup));
	ASSERT_TRUE(calls_in_cycle(&self->subject));
	ASSERT_EQ(1, calls);
	EXPECT_TRUE(is_alive(argument));
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(argument));
}

/*
 * The agent has found the object white, and is held before it has the lock of the page's list.
 */
TEST_F(stage, a_cleanup_that_is_stopped_before_it_is_settled_is_not_called)
{
	struct tri_point *settles = point_hold("special.settles", 0);

	ASSERT_TRUE(actor_does(&self->subject, add_cleanup, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(settles));
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(0, stop_result);
	ASSERT_TRUE(point_release(settles));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(0, calls);
	/* The argument was marked in that cycle, as the record was there. */
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(argument));
}

/* The record that was stopped is used again at once, for an object that is not dead. */
TEST_F(stage, the_next_use_of_the_record_is_not_settled)
{
	struct tri_point *settles = point_hold("special.settles", 0);
	struct tri_cleanup first;

	ASSERT_TRUE(actor_does(&self->subject, add_cleanup, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	first = cleanup;
	cycle_begin();
	ASSERT_TRUE(point_reached(settles));
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(0, stop_result);
	ASSERT_TRUE(actor_does(&self->other, make, NULL));
	ASSERT_TRUE(actor_does(&self->other, add_cleanup, NULL));
	EXPECT_EQ(first.record, cleanup.record);
	EXPECT_EQ(-ENOENT, tri_cleanup_stop(first));
	ASSERT_TRUE(point_release(settles));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(0, calls);
	EXPECT_TRUE(is_alive(argument));
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(0, stop_result);
}

/* A thread has found the record live, and is held before it has the lock of the page's list. */
TEST_F(stage, a_cleanup_that_is_settled_meanwhile_is_not_stopped)
{
	struct tri_point *settles = point_hold("special.settles", 0);
	struct tri_point *settled = point_hold("barrier_off.settled", 0);
	struct tri_point *stops = point_hold("special.stops", 0);

	ASSERT_TRUE(actor_does(&self->subject, add_cleanup, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(settles));
	actor_ask(&self->other, stop_cleanup, NULL);
	ASSERT_TRUE(point_reached(stops));
	ASSERT_TRUE(point_release(settles));
	ASSERT_TRUE(point_reached(settled));
	ASSERT_TRUE(point_release(stops));
	ASSERT_TRUE(actor_finished(&self->other));
	EXPECT_EQ(-ENOENT, stop_result);
	ASSERT_TRUE(point_release(settled));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(1, calls);
}

TEST_F(stage, one_of_two_threads_stops_a_cleanup)
{
	struct tri_point *stops = point_hold("special.stops", 0);

	ASSERT_TRUE(actor_does(&self->subject, add_cleanup, NULL));
	actor_ask(&self->other, stop_cleanup, NULL);
	ASSERT_TRUE(point_reached(stops));
	EXPECT_EQ(0, tri_cleanup_stop(cleanup));
	ASSERT_TRUE(point_release(stops));
	ASSERT_TRUE(actor_finished(&self->other));
	EXPECT_EQ(-ENOENT, stop_result);
}

/* The record is queued, and the object is not swept yet. */
TEST_F(stage, a_cleanup_that_is_settled_is_not_stopped)
{
	struct tri_point *settled = point_hold("barrier_off.settled", 0);

	ASSERT_TRUE(actor_does(&self->subject, add_cleanup, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(settled));
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(-ENOENT, stop_result);
	ASSERT_TRUE(point_release(settled));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(1, calls);
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(-ENOENT, stop_result);
}

/* The thread has the record, which is free, and has not called its function. */
TEST_F(stage, a_cleanup_that_is_taken_is_not_stopped)
{
	struct tri_point *taken;

	ASSERT_TRUE(is_queued(&self->subject, add_cleanup));
	taken = point_hold("special.taken", 0);
	actor_ask(&self->subject, call_all, NULL);
	ASSERT_TRUE(point_reached(taken));
	ASSERT_TRUE(actor_does(&self->other, stop_cleanup, NULL));
	EXPECT_EQ(-ENOENT, stop_result);
	/* Another thread finds nothing to call. */
	ASSERT_TRUE(actor_does(&self->other, call_all, NULL));
	EXPECT_EQ(0, calls);
	ASSERT_TRUE(point_release(taken));
	ASSERT_TRUE(actor_finished(&self->subject));
	EXPECT_EQ(1, calls);
}

/* What is settled is called, barriers of other threads being on still. */
TEST_F(stage, an_object_that_is_called_before_the_barriers_are_off_is_kept)
{
	struct tri_point *settled = point_hold("barrier_off.settled", 0);

	ASSERT_TRUE(actor_does(&self->subject, set_finalizer, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(settled));
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(1, calls);
	ASSERT_TRUE(point_release(settled));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
	EXPECT_TRUE(is_alive(referent));
	EXPECT_TRUE(is_alive(argument));
}

static void *large;				/* a root */

static void add_large(void *unused)
{
	(void)unused;
	tri_store(&large, tri_alloc(1 << 20));
	call_error |= tri_add_cleanup(large, on_cleanup, tri_alloc(sizeof(struct box)), NULL);
}

static void drop_large(void *unused)
{
	(void)unused;
	tri_store(&large, NULL);
}

/* The object comes back, and gets a finalizer again, with the record that has just become free. */
static void on_death_again(void *o, void *arg)
{
	calls++;
	tri_store(&held, o);
	call_error |= tri_set_finalizer(o, on_death, arg);
}

static void set_again(void *unused)
{
	(void)unused;
	call_error |= tri_set_finalizer(held, on_death_again, tri_alloc(sizeof(struct box)));
}

/*
 * The agent has queued the record of one page, and is held before it queues that of another one.
 */
TEST_F(stage, what_is_queued_is_called_while_more_is_settled)
{
	struct tri_point *settles = point_hold("special.settles", 0);

	settles->skip = 1;
	ASSERT_TRUE(actor_does(&self->subject, set_again, NULL));
	ASSERT_TRUE(actor_does(&self->subject, add_large, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	ASSERT_TRUE(actor_does(&self->subject, drop_large, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(settles));
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(1, calls);
	ASSERT_NE(NULL, held);
	ASSERT_TRUE(point_release(settles));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(2, calls);
	EXPECT_TRUE(is_alive(hidden(held)));
	EXPECT_TRUE(is_alive(hidden(held->at[0])));
	/* The new finalizer is called when the object dies again. */
	ASSERT_TRUE(actor_does(&self->subject, drop, NULL));
	ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(actor_does(&self->subject, call_all, NULL));
	EXPECT_EQ(3, calls);
	EXPECT_TRUE(is_alive(object));
	EXPECT_TRUE(is_alive(argument));
}

TEST_HARNESS_MAIN
