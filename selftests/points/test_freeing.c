// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_freeing.c - tri_free() while a cycle marks
 *
 * The collector is held when all stacks have been scanned and nothing has been marked.  A thread
 * then takes a pointer from an object, and frees the object.  The test keeps that pointer as a
 * number, which stands for a word of a stack that has been scanned.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/stage.h"

FIXTURE(stage)
{
	struct actor subject;
};

FIXTURE_SETUP(stage)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_does(&self->subject, stage_fill_box, NULL));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

/* Have @a do @fn() while a cycle marks, when all stacks have been scanned; then the cycle ends. */
static bool does_in_cycle(struct actor *a, void (*fn)(void *arg))
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);
	bool did;

	cycle_begin();
	did = point_reached(scanned) && actor_does(a, fn, NULL);
	return point_release(scanned) && cycle_ended() && did;
}

static uintptr_t parent, child;
static bool parent_was_kept;

static void give_child(void *unused)
{
	(void)unused;
	tri_store(&box->at[3]->at[0], tri_alloc(sizeof(struct box)));
}

/* Take the child, free the parent, and use the parent's memory again if it is given out. */
static void free_parent(void *unused)
{
	struct box *o = box->at[3];
	int i;

	(void)unused;
	parent = hidden(o);
	child = hidden(o->at[0]);
	tri_store(&box->at[3], NULL);
	tri_free(o);
	o = NULL;
	for (i = 0; i < 1000; i++)
		(void)tri_alloc(sizeof(struct box));
	parent_was_kept = is_alive(parent);
}

TEST_F(stage, what_the_freed_object_led_to_is_kept)
{
	ASSERT_TRUE(actor_does(&self->subject, give_child, NULL));
	ASSERT_TRUE(does_in_cycle(&self->subject, free_parent));
	EXPECT_TRUE(parent_was_kept);
	EXPECT_TRUE(is_alive(child));
}

/* The parent goes in that cycle, and not in the next, though it was marked. */
TEST_F(stage, the_cycle_frees_what_was_freed_in_it)
{
	ASSERT_TRUE(actor_does(&self->subject, give_child, NULL));
	ASSERT_TRUE(does_in_cycle(&self->subject, free_parent));
	EXPECT_FALSE(is_alive(parent));
}

static uintptr_t again;

static void free_and_allocate(void *unused)
{
	struct box *b = tri_alloc(sizeof(*b));

	(void)unused;
	tri_free(b);
	again = hidden(tri_alloc(sizeof(*b)));
}

/* The thread's stack has been scanned, so a new object there has to be black. */
TEST_F(stage, a_slot_that_comes_back_is_black)
{
	ASSERT_TRUE(does_in_cycle(&self->subject, free_and_allocate));
	EXPECT_TRUE(is_alive(again));
}

static void free_old(void *unused)
{
	struct box *o = box->at[3];

	(void)unused;
	tri_store(&box->at[3], NULL);
	tri_free(o);
}

static void allocate_again(void *unused)
{
	(void)unused;
	again = hidden(tri_alloc(sizeof(struct box)));
}

/*
 * The end of a cycle closes all windows.  H1 of the next does not look at what is put into those.
 */
TEST_F(stage, a_window_that_is_over_takes_no_slot)
{
	ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(actor_does(&self->subject, free_old, NULL));
	ASSERT_TRUE(does_in_cycle(&self->subject, allocate_again));
	EXPECT_TRUE(is_alive(again));
}

static void free_and_end(void *unused)
{
	free_parent(unused);
	tri_thread_detach();
}

TEST_F(stage, also_what_a_thread_freed_that_has_ended)
{
	ASSERT_TRUE(does_in_cycle(&self->subject, free_and_end));
	EXPECT_FALSE(is_alive(parent));
}

/* More than a thread's record holds: some are handed on, and some are in the record. */
#define MANY 200

static struct box *kept[MANY];		/* roots */
static struct box *many[MANY];
static uintptr_t freed[MANY];

static void make_many(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < MANY; i++) {
		struct box *b = tri_alloc(sizeof(*b));

		tri_store(&kept[i], tri_alloc(sizeof(struct box)));
		tri_store(&b->at[0], kept[i]);
		tri_store(&many[i], b);
	}
}

static void free_many(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < MANY; i++) {
		struct box *b = many[i];

		freed[i] = hidden(b);
		tri_store(&many[i], NULL);
		tri_free(b);
	}
}

/* The collector dies when notes are pending.  The cycle of its successor takes them. */
TEST_F(stage, notes_outlive_the_collector)
{
	struct tri_stats s = { .size = sizeof(s) };
	struct tri_point *scanned;
	int i;

	ASSERT_TRUE(actor_does(&self->subject, make_many, NULL));
	scanned = point_hold("cycle.scanned", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, free_many, NULL));
	for (i = 0; i < MANY; i++)
		ASSERT_TRUE(is_alive(freed[i]));
	ASSERT_EQ(0, tri_read_stats(&s));
	ASSERT_EQ(0, kill((pid_t)s.collector_pid, SIGKILL));
	point_off(scanned);
	ASSERT_TRUE(cycle_ended());
	for (i = 0; i < MANY; i++) {
		EXPECT_FALSE(is_alive(freed[i]));
		EXPECT_TRUE(is_alive(hidden(kept[i])));
	}
}

/* With TRICOLOR_DEBUG=frees, where each object that is freed is noted for the end of a cycle. */
FIXTURE(checked)
{
	struct actor subject;
};

FIXTURE_SETUP(checked)
{
	setenv("TRICOLOR_DEBUG", "frees", 1);
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
}

FIXTURE_TEARDOWN(checked)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

#define SLOTS 2000

/* They are in spans that are fresh, as nothing may be swept yet. */
static void fill_and_free(void *unused)
{
	struct box *b;
	int i;

	(void)unused;
	for (i = 0; i < SLOTS; i++) {
		b = tri_alloc(sizeof(*b));
		memset(b, 0xff, sizeof(*b));
		tri_free(b);
	}
}

static void count_old_data(void *count)
{
	int *found = count, i;
	uintptr_t *word;
	size_t w;

	for (i = 0; i < 20 * SLOTS; i++) {
		word = tri_alloc(sizeof(struct box));
		for (w = 0; w < sizeof(struct box) / sizeof(*word); w++)
			*found += word[w] != 0;
	}
}

static uintptr_t handed_on;

static void allocate(void *unused)
{
	(void)unused;
	handed_on = hidden(tri_alloc(sizeof(struct box)));
}

static void free_handed_on(void *unused)
{
	(void)unused;
	tri_free(shown(handed_on));
}

/*
 * The agent changes over the thread that attached last, and is held.  The others have not changed
 * over.  A free that was taken for a second one would end the process.
 */
TEST_F(checked, a_thread_frees_what_one_that_has_changed_over_allocated)
{
	struct tri_point *changed;
	struct actor last;

	ASSERT_TRUE(actor_start(&last));
	ASSERT_TRUE(actor_does(&last, allocate, NULL));
	changed = point_hold("barrier_off.thread", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(changed));
	ASSERT_TRUE(actor_does(&last, allocate, NULL));
	ASSERT_TRUE(actor_does(&self->subject, free_handed_on, NULL));
	ASSERT_TRUE(actor_does(&self->subject, allocate, NULL));
	ASSERT_TRUE(actor_does(&last, free_handed_on, NULL));
	ASSERT_TRUE(point_release(changed));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(actor_end(&last));
}

TEST_F(checked, slots_of_fresh_spans_are_zeroed_again)
{
	struct tri_point *changed = point_hold("barrier_off.changed", 0);
	int found = 0;

	cycle_begin();
	ASSERT_TRUE(point_reached(changed));
	ASSERT_TRUE(actor_does(&self->subject, fill_and_free, NULL));
	ASSERT_TRUE(point_release(changed));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(actor_does(&self->subject, count_old_data, &found));
	EXPECT_EQ(0, found);
}

TEST_HARNESS_MAIN
