// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_freeing.c - tri_free() while a cycle marks
 *
 * The collector is held when all stacks have been scanned and nothing has been marked.  A thread
 * then takes a pointer from an object, and frees the object.  The test keeps that pointer as a
 * number, which stands for a word of a stack that has been scanned.
 */
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

static uintptr_t parent, child;

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
}

TEST_F(stage, what_the_freed_object_led_to_is_kept)
{
	struct tri_point *scanned;

	ASSERT_TRUE(actor_does(&self->subject, give_child, NULL));
	scanned = point_hold("cycle.scanned", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, free_parent, NULL));
	EXPECT_TRUE(is_alive(parent));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(child));
}

/* The parent goes in that cycle, and not in the next, though it was marked. */
TEST_F(stage, the_cycle_frees_what_was_freed_in_it)
{
	struct tri_point *scanned;

	ASSERT_TRUE(actor_does(&self->subject, give_child, NULL));
	scanned = point_hold("cycle.scanned", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, free_parent, NULL));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
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
	struct tri_point *scanned = point_hold("cycle.scanned", 0);

	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, free_and_allocate, NULL));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(again));
}

static void free_and_end(void *unused)
{
	free_parent(unused);
	tri_thread_detach();
}

TEST_F(stage, also_what_a_thread_freed_that_has_ended)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);

	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, free_and_end, NULL));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_FALSE(is_alive(parent));
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
