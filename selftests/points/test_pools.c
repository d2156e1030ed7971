// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pools.c - a thread that takes from another one's ring is held before it empties the slot
 *
 * The ring goes round meanwhile, so that its head comes to the same slot.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/stage.h"

#define RING 16			/* slots of the first ring; its thread has one object beside it */

FIXTURE(stage)
{
	struct actor owner, taker;
};

static tri_pool *pool;			/* a root */
static uint64_t *number[RING + 2];	/* what is put in, in this order; roots */
static uint64_t *taken;

static void fill(void *unused)
{
	int i;

	(void)unused;
	tri_store(&pool, tri_pool_new(NULL, NULL, NULL));
	for (i = 0; i < RING + 2; i++)
		tri_store(&number[i], tri_alloc(64));
	for (i = 0; i < RING + 1; i++)
		tri_pool_put(pool, number[i]);
}

FIXTURE_SETUP(stage)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->owner));
	ASSERT_TRUE(actor_start(&self->taker));
	ASSERT_TRUE(actor_does(&self->owner, fill, NULL));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->owner));
	EXPECT_TRUE(actor_end(&self->taker));
	EXPECT_TRUE(actor_end(&collector));
}

static void take(void *unused)
{
	(void)unused;
	tri_store(&taken, tri_pool_get(pool));
}

static void put_last(void *unused)
{
	(void)unused;
	tri_pool_put(pool, number[RING + 1]);
}

static int found;

/* All are there but the one that was taken, each once. */
static void take_all(void *unused)
{
	uint64_t *object;

	(void)unused;
	found = 0;
	while ((object = tri_pool_get(pool))) {
		if (object == number[1] || ++*object != 1)
			found = -1000;
		found++;
	}
}

TEST_F(stage, a_slot_is_not_filled_before_it_is_empty)
{
	struct tri_point *claimed = point_hold("pool.claimed", 0);

	actor_ask(&self->taker, take, NULL);
	ASSERT_TRUE(point_reached(claimed));
	ASSERT_TRUE(actor_does(&self->owner, put_last, NULL));
	ASSERT_TRUE(point_release(claimed));
	ASSERT_TRUE(actor_finished(&self->taker));
	EXPECT_EQ(taken, number[1]);
	ASSERT_TRUE(actor_does(&self->owner, take_all, NULL));
	EXPECT_EQ(found, RING + 1);
}

TEST_HARNESS_MAIN
