// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_collectors.c - the collector beside a program that allocates, and its successor
 */
#include "lib/arena_check.h"
#include "lib/stage.h"

FIXTURE(stage)
{
	struct actor subject, other;
};

FIXTURE_SETUP(stage)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_start(&self->other));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->other));
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

/*
 * A collector dies before it has swept.  If its successor marked before all is swept, a thread that
 * takes a span would sweep it, and so clear marks that are being made.
 */
TEST_F(stage, a_successor_sweeps_before_it_marks)
{
	struct tri_point *sweeps, *collects;
	struct tri_stats s = { .size = sizeof(s) };
	int i;

	ASSERT_TRUE(actor_does(&self->subject, stage_make_old, NULL));
	ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(actor_does(&self->subject, stage_drop_half, NULL));
	sweeps = point_hold("cycle.sweeps", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(sweeps));
	collects = point_hold("cycle.collects", 0);
	ASSERT_EQ(0, tri_read_stats(&s));
	ASSERT_EQ(0, kill((pid_t)s.collector_pid, SIGKILL));
	point_off(sweeps);
	/* The next collector has marked. */
	ASSERT_TRUE(point_reached(collects));
	ASSERT_TRUE(actor_does(&self->other, stage_make_fresh, NULL));
	ASSERT_TRUE(point_release(collects));
	ASSERT_TRUE(cycle_ended());
	for (i = 1; i < OBJECTS; i += 2)
		ASSERT_TRUE(is_alive(hidden(old_objects[i])));
}

#define LARGE_BYTES (4ul << 20)

static uint8_t *large;			/* a root */

static void make_large(void *unused)
{
	(void)unused;
	tri_store(&large, tri_alloc_leaf(LARGE_BYTES));
	if (large)
		memset(large, 0x11, LARGE_BYTES);
}

static void drop_large(void *unused)
{
	(void)unused;
	tri_store(&large, NULL);
}

static void free_memory(void *unused)
{
	(void)unused;
	tri_free_os_memory();
}

/* The program takes pages while the collector gives memory back: it must get other pages. */
TEST_F(stage, pages_are_claimed_before_they_are_punched)
{
	struct tri_point *punches = point_hold("scavenge.punches", 0);
	size_t i, wrong = 0;

	ASSERT_TRUE(actor_does(&self->subject, make_large, NULL));
	ASSERT_NE(NULL, large);
	ASSERT_TRUE(actor_does(&self->subject, drop_large, NULL));
	actor_ask(&self->other, free_memory, NULL);
	ASSERT_TRUE(point_reached(punches));
	ASSERT_TRUE(actor_does(&self->subject, make_large, NULL));
	ASSERT_NE(NULL, large);
	ASSERT_TRUE(point_release(punches));
	ASSERT_TRUE(actor_finished(&self->other));
	for (i = 0; i < LARGE_BYTES; i++)
		wrong += large[i] != 0x11;
	EXPECT_EQ(0, wrong);
	EXPECT_TRUE(is_alive(hidden(large)));
}

/*
 * The value of the allocation counter past which threads wait for long.  There is one if there is a
 * limit.
 */
TEST_F(stage, a_limit_can_be_in_danger)
{
	struct tri_view v;
	uint64_t far;

	ASSERT_TRUE(arena_find(&v));
	EXPECT_EQ(UINT64_MAX, tri_read(&v.ctl->far_bytes));
	tri_set_memory_limit(64 << 20);
	ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(WAIT_FOR(tri_read(&v.ctl->far_bytes) != UINT64_MAX, 100000, PATIENCE_NS / 4));
	far = tri_read(&v.ctl->far_bytes);
	EXPECT_LE(tri_read(&v.ctl->late_bytes), far);
	EXPECT_GE(tri_read(&v.ctl->allocated_bytes) + (80 << 20), far);
}

TEST_HARNESS_MAIN
