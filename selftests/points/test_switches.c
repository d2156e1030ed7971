// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_switches.c - stacks that threads leave, and the agent that scans them
 *
 * The subject tells the library that it switches, and stays where it is.  What matters is who scans
 * the other stack, which here is some mapped words, and when.  The number of an object, hidden(),
 * stands for a pointer on the stack on which the subject has been scanned.
 */
#include "lib/stage.h"

#define WORDS 64
#define BYTES (WORDS * sizeof(void *))

static struct box **area;		/* a stack */
static tri_stack *registered, *own;
static uintptr_t object;
static int result;

FIXTURE(stage)
{
	struct actor subject;
};

static void prepare(void *unused)
{
	(void)unused;
	own = tri_stack_self();
	registered = tri_stack_register(area, BYTES);
	result = own && registered ? 0 : -1;
}

FIXTURE_SETUP(stage)
{
	area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(area != MAP_FAILED && stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_does(&self->subject, prepare, NULL) && !result);
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

static void put_object(void *unused)
{
	struct box *b = tri_alloc(sizeof(*b));

	(void)unused;
	object = hidden(b);
	area[17] = b;
}

static void make_object(void *unused)
{
	(void)unused;
	object = hidden(tri_alloc(sizeof(struct box)));
}

/* Switch to the other stack, take the pointer from it, and switch back. */
static void take_object(void *unused)
{
	(void)unused;
	result = tri_stack_switch(registered);
	area[17] = NULL;
	result |= tri_stack_switch(own);
}

/* Switch to the other stack, leave a pointer on it, and switch back. */
static void leave_object(void *unused)
{
	(void)unused;
	result = tri_stack_switch(registered);
	area[17] = shown(object);
	result |= tri_stack_switch(own);
}

static void unregister(void *unused)
{
	(void)unused;
	result = tri_stack_unregister(registered);
	area[17] = NULL;
}

/* The subject has been scanned; the agent has not looked at the other stack. */
TEST_F(stage, a_switch_scans)
{
	struct tri_point *answered;

	ASSERT_TRUE(actor_does(&self->subject, put_object, NULL));
	answered = point_hold("scan.threads_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(answered));
	ASSERT_TRUE(actor_does(&self->subject, take_object, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(answered));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(object));
}

/* The agent is about to read the other stack. */
TEST_F(stage, a_switch_takes_a_claim_over)
{
	struct tri_point *claimed;

	ASSERT_TRUE(actor_does(&self->subject, put_object, NULL));
	claimed = point_hold("coroutine.claimed", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(claimed));
	ASSERT_TRUE(actor_does(&self->subject, take_object, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(claimed));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/*
 * The subject has not been scanned when it leaves the other stack.  When it is scanned, it has no
 * pointer from there.
 */
TEST_F(stage, a_stack_is_left_unscanned)
{
	struct tri_point *roots;

	ASSERT_TRUE(actor_does(&self->subject, make_object, NULL));
	roots = point_hold("scan.roots_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(roots));
	ASSERT_TRUE(actor_does(&self->subject, leave_object, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(roots));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/* The pointer from the stack is on another stack, which has been scanned. */
TEST_F(stage, a_stack_that_goes_is_scanned)
{
	struct tri_point *answered;

	ASSERT_TRUE(actor_does(&self->subject, put_object, NULL));
	answered = point_hold("scan.threads_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(answered));
	ASSERT_TRUE(actor_does(&self->subject, unregister, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(answered));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/*
 * The stack's memory is unmapped, and its descriptor is used for another stack, while the agent has
 * claimed it.
 */
static void replace(void *unused)
{
	unregister(unused);
	munmap(area, BYTES);
	area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	prepare(unused);
	make_object(unused);
	area[17] = shown(object);
}

TEST_F(stage, a_claimed_stack_goes)
{
	struct tri_point *claimed = point_hold("coroutine.claimed", 0);

	cycle_begin();
	ASSERT_TRUE(point_reached(claimed));
	ASSERT_TRUE(actor_does(&self->subject, replace, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(claimed));
	ASSERT_TRUE(cycle_ended());
	ASSERT_TRUE(cycle_whole());
	EXPECT_TRUE(is_alive(object));
}

/* ------------------------------------------------------------------------------------------ */
/* Stacks that shrink                                                                         */
/* ------------------------------------------------------------------------------------------ */

#define MOST (4ul << 20)

static tri_stack *growing;
static char *memory;

static void make_growing(void *unused)
{
	(void)unused;
	memory = tri_stack_new(MOST);
	growing = memory ? tri_stack_register(memory, MOST) : NULL;
	own = tri_stack_self();
	if (growing && own)
		memset(memory, 1, MOST);
}

static void switch_and_use(void *unused)
{
	(void)unused;
	result = tri_stack_switch(growing);
	memset(memory, 2, MOST);
}

static void unregister_growing(void *unused)
{
	(void)unused;
	result = tri_stack_unregister(growing);
	memset(memory, 2, MOST);
}

/* Whether what the subject has written is still there. */
static bool is_used(void)
{
	return memory[0] == 2 && !memcmp(memory, memory + 1, MOST - 1);
}

/* The agent is about to give memory back: the subject waits, and then has the stack as it is. */
static bool waits_for_shrink(struct actor *subject, void (*use)(void *))
{
	struct tri_point *shrinks, *waits;

	if (!actor_does(subject, make_growing, NULL) || !growing || !own)
		return false;
	shrinks = point_hold("coroutine.shrinks", 0);
	waits = point_hold("coroutine.waits", subject->tid);
	cycle_begin();
	if (!point_reached(shrinks))
		return false;
	actor_ask(subject, use, NULL);
	return point_reached(waits) && point_release(waits) && point_release(shrinks) &&
	       actor_finished(subject) && cycle_ended() && !result;
}

TEST_F(stage, a_switch_waits_for_a_stack_that_shrinks)
{
	ASSERT_TRUE(waits_for_shrink(&self->subject, switch_and_use));
	EXPECT_TRUE(is_used());
	ASSERT_TRUE(cycle_whole());
	EXPECT_TRUE(is_used());
}

TEST_F(stage, a_stack_goes_when_it_has_shrunk)
{
	ASSERT_TRUE(waits_for_shrink(&self->subject, unregister_growing));
	EXPECT_TRUE(is_used());
}

/* The subject takes the stack when the agent has claimed it, and is not yet about to shrink it. */
TEST_F(stage, a_stack_that_was_taken_stays_as_it_is)
{
	struct tri_point *claimed;

	ASSERT_TRUE(actor_does(&self->subject, unregister, NULL));
	ASSERT_TRUE(actor_does(&self->subject, make_growing, NULL));
	ASSERT_TRUE(growing && own);
	claimed = point_hold("coroutine.claimed", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(claimed));
	ASSERT_TRUE(actor_does(&self->subject, switch_and_use, NULL));
	ASSERT_EQ(0, result);
	ASSERT_TRUE(point_release(claimed));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_used());
}

TEST_HARNESS_MAIN
