// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_barriers.c - what each kind of store shades, at the moments in which nothing else keeps the
 * object
 *
 *  - A thread that is yet to be scanned puts its only pointer to an object into a black one, and
 *    forgets it: the value must be shaded.
 *  - Threads are scanned, nothing is marked yet.  One of them has loaded a pointer from an object
 *    that is yet to be scanned, another one overwrites it there: the old value must be shaded.
 */
#include "lib/stage.h"
#include "tricolor/any.h"

FIXTURE(stage)
{
	struct actor subject;
};

FIXTURE_SETUP(stage)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

/* The kinds of stores.  Each stores into the slot that holds @old. */
static void by_store(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	tri_store(slot, value);
}

static void by_cas(struct box **slot, struct box *old, struct box *value)
{
	tri_cas(slot, old, value);
}

static void by_exchange(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	tri_exchange(slot, value);
}

static void by_move(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	tri_move(slot, &value, 1);
}

static void by_clear(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	(void)value;
	tri_clear(slot, 1);
}

/* @slot is the last one of its box.  The second half of the box is cut off. */
static void by_realloc(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	(void)value;
	tri_realloc(slot - 7, 4 * sizeof(*slot));
}

/* any.h.  @slot is the value word, for the insertion tests the word before it. */
static TRI_ANY_TYPE(any_pointer, struct box *);
static TRI_ANY_TYPE(any_box, struct box);

static void by_any_value(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	tri_any_store((struct tri_any *)slot, tri_any_new(&any_pointer, &value));
}

static void by_any_over(struct box **slot, struct box *old, struct box *value)
{
	by_any_value(slot - 1, old, value);
}

static void by_any_clear(struct box **slot, struct box *old, struct box *value)
{
	(void)old;
	(void)value;
	tri_any_clear((struct tri_any *)(slot - 1));
}

/* The type word points to the object. */
static void by_any_type(struct box **slot, struct box *old, struct box *value)
{
	struct tri_any any = { (const struct tri_any_type *)value, NULL };

	(void)old;
	tri_any_store((struct tri_any *)slot, any);
}

/* The object is in a box only. */
static void by_any_box(struct box **slot, struct box *old, struct box *value)
{
	struct box content = { { value } };

	(void)old;
	tri_any_store((struct tri_any *)slot, tri_any_new(&any_box, &content));
}

typedef void store_fn(struct box **slot, struct box *old, struct box *value);

/* An object that nothing in the heap points to. */
static uintptr_t made;
static struct box *black;		/* a root */

static void make(void *unused)
{
	(void)unused;
	made = hidden(tri_alloc(sizeof(struct box)));
}

static void put_in_black(void *arg)
{
	store_fn *by = (store_fn *)arg;
	struct box *b = tri_alloc(sizeof(*b));

	by(&b->at[0], NULL, shown(made));
	tri_store(&black, b);
}

FIXTURE(insert)
{
	struct actor subject;
};

FIXTURE_VARIANT(insert)
{
	store_fn *by;
};

FIXTURE_VARIANT_ADD(insert, store) { .by = by_store };
FIXTURE_VARIANT_ADD(insert, cas) { .by = by_cas };
FIXTURE_VARIANT_ADD(insert, exchange) { .by = by_exchange };
FIXTURE_VARIANT_ADD(insert, move) { .by = by_move };
FIXTURE_VARIANT_ADD(insert, any_value) { .by = by_any_value };
FIXTURE_VARIANT_ADD(insert, any_type) { .by = by_any_type };
FIXTURE_VARIANT_ADD(insert, any_box) { .by = by_any_box };

FIXTURE_SETUP(insert)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
}

FIXTURE_TEARDOWN(insert)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

/* If this failed, the tests below would prove nothing. */
TEST_F(stage, what_nothing_holds_dies)
{
	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
	ASSERT_NE(hidden(NULL), made);
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(made));
}

TEST_F(insert, by_a_thread_that_is_scanned_later)
{
	struct tri_point *scan = point_hold("scan.begins", 0);

	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(scan));
	ASSERT_TRUE(actor_does(&self->subject, put_in_black, (void *)variant->by));
	ASSERT_TRUE(point_release(scan));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
}

FIXTURE(delete)
{
	struct actor subject;
};

FIXTURE_VARIANT(delete)
{
	store_fn *by;
};

FIXTURE_VARIANT_ADD(delete, store) { .by = by_store };
FIXTURE_VARIANT_ADD(delete, cas) { .by = by_cas };
FIXTURE_VARIANT_ADD(delete, exchange) { .by = by_exchange };
FIXTURE_VARIANT_ADD(delete, move) { .by = by_move };
FIXTURE_VARIANT_ADD(delete, clear) { .by = by_clear };
FIXTURE_VARIANT_ADD(delete, realloc) { .by = by_realloc };
FIXTURE_VARIANT_ADD(delete, any_value) { .by = by_any_over };
FIXTURE_VARIANT_ADD(delete, any_clear) { .by = by_any_clear };

FIXTURE_SETUP(delete)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_does(&self->subject, stage_fill_box, NULL));
}

FIXTURE_TEARDOWN(delete)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

static uintptr_t loaded;

static void load_and_delete(void *arg)
{
	store_fn *by = (store_fn *)arg;

	loaded = hidden(box->at[7]);
	by(&box->at[7], box->at[7], NULL);
}

TEST_F(delete, of_what_a_scanned_thread_has_loaded)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);

	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, load_and_delete, (void *)variant->by));
	ASSERT_EQ(NULL, box->at[7]);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(loaded));
}

/* ------------------------------------------------------------------------------------------ */
/* What goes on while a cycle begins                                                          */
/* ------------------------------------------------------------------------------------------ */

#define MANY (3 * 2048)			/* words: three batches of tri_move(), tri_clear() */

static struct box **row;		/* MANY words in the heap, a root */
static struct box *nothing[MANY];

static void make_row(void *unused)
{
	(void)unused;
	tri_store(&row, tri_alloc(MANY * sizeof(*row)));
	tri_store(&row[MANY / 2], tri_alloc(sizeof(struct box)));
}

static void move_row(void *unused)
{
	(void)unused;
	tri_move(row, nothing, MANY);
}

/*
 * The call has begun while no barrier was on.  What it stores after the barrier went on must shade.
 */
TEST_F(stage, a_long_move_goes_on_in_a_cycle)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);
	struct tri_point *between = point_hold("move.between", self->subject.tid);
	uintptr_t object;

	ASSERT_TRUE(actor_does(&self->subject, make_row, NULL));
	actor_ask(&self->subject, move_row, NULL);
	ASSERT_TRUE(point_reached(between));
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(row[MANY / 2]);
	ASSERT_NE(hidden(NULL), object);
	ASSERT_TRUE(point_release(between));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_EQ(NULL, row[MANY / 2]);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/*
 * The first half of a tiny slot was allocated white.  The second half must not be given out as a
 * new object.
 */
static uintptr_t tiny;

static void alloc_tiny(void *arg)
{
	int i;

	for (i = 0; i < *(int *)arg; i++)
		tiny = hidden(tri_alloc_leaf(8));
}

TEST_F(stage, a_tiny_object_of_a_cycle_is_black)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);
	int odd = 101, one = 1;
	uintptr_t first;

	ASSERT_TRUE(actor_does(&self->subject, alloc_tiny, &odd));
	first = tiny;
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	ASSERT_TRUE(actor_does(&self->subject, alloc_tiny, &one));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_FALSE(is_alive(first));
	EXPECT_TRUE(is_alive(tiny));
}

/* ------------------------------------------------------------------------------------------ */
/* Roots                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* Memory outside of the data segments, which is scanned only where it is registered. */
static struct box **range;

static void fill_range(void *unused)
{
	(void)unused;
	tri_store(&range[0], tri_alloc(sizeof(struct box)));
}

static void load_and_remove(void *unused)
{
	(void)unused;
	loaded = hidden(range[0]);
	tri_root_remove(range, 4096);
}

/* Before the memory is a root, plain stores into it are allowed. */
static void fill_and_add(void *unused)
{
	(void)unused;
	range[0] = shown(made);
	tri_root_add(range, 4096);
}

/* The roots have been scanned, and this thread has not.  What it puts into a new root is shaded. */
TEST_F(stage, a_root_is_added_when_roots_are_scanned)
{
	struct tri_point *roots = point_hold("scan.roots_done", 0);

	range = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)range);
	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(roots));
	ASSERT_TRUE(actor_does(&self->subject, fill_and_add, NULL));
	ASSERT_TRUE(point_release(roots));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
}

/*
 * No barrier sees what goes with a root.  By the time a thread has been scanned, all roots have
 * been scanned.
 */
TEST_F(stage, a_root_is_removed_when_threads_are_scanned)
{
	struct tri_point *threads = point_hold("scan.threads_done", 0);

	range = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)range);
	ASSERT_EQ(0, tri_root_add(range, 4096));
	ASSERT_TRUE(actor_does(&self->subject, fill_range, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(threads));
	ASSERT_TRUE(actor_does(&self->subject, load_and_remove, NULL));
	ASSERT_TRUE(point_release(threads));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(loaded));
}

TEST_HARNESS_MAIN
