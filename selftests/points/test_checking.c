// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checking.c - TRICOLOR_DEBUG=barriers: stores by the library at each moment of a pass are not reported
 *
 * An actor stores while the agent stands before, in or behind its pass, or stands itself between its note and
 * its store; then there are more passes, and nothing may be said.  A plain store at the same moment is reported: so the
 * test would see it.
 */
#include "stage.h"

#include "brake.h"
#include "integration/witness.h"

static char path[] = "/tmp/test_checking.XXXXXX";
static void *slot_word;
static void **slot = &slot_word;	/* a global */

static bool open_checked(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return false;
	close(fd);
	/* This program sees what the library hides: it is linked statically, and not beside a collector. */
	setenv("TRICOLOR_DAEMON", daemon_path(), 1);
	setenv("TRICOLOR_DEBUG", "barriers", 1);
	setenv("TRICOLOR_DEBUG_FILE", path, 1);
	return stage_open();
}

#define PASSES 30	/* more than a word is watched for before it is reported without its instruction */

/* Whether a store has been reported, after some more passes. */
static bool is_reported(void)
{
	static char text[1 << 20];
	FILE *file;
	size_t n;
	int i;

	for (i = 0; i < PASSES; i++)
		if (!cycle_whole())
			return true;
	file = fopen(path, "r");
	n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[n] = 0;
	if (file)
		fclose(file);
	unlink(path);
	return !n || strstr(text, "\"event\":\"store\"") || strstr(text, "\"event\":\"refused\"");
}

static void store_new(void *unused)
{
	(void)unused;
	tri_store(slot, tri_alloc(64));
}

static void store_plainly(void *unused)
{
	(void)unused;
	*(void *volatile *)slot = tri_alloc(64);
}

/* The agent is held at @point, and @store stores there. */
static bool store_at(const char *name, void (*store)(void *arg), struct actor *subject)
{
	struct tri_point *point = point_hold(name, 0);

	cycle_begin();
	return point_reached(point) && actor_does(subject, store, NULL) && point_release(point) && cycle_ended();
}

TEST(before_its_word_is_read)
{
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	ASSERT_TRUE(store_at("check.pass", store_new, &subject));
	EXPECT_FALSE(is_reported());
}

TEST(after_its_word_was_read)
{
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	ASSERT_TRUE(store_at("check.read", store_new, &subject));
	EXPECT_FALSE(is_reported());
}

TEST(a_plain_store_after_its_word_was_read)
{
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	ASSERT_TRUE(store_at("check.read", store_plainly, &subject));
	EXPECT_TRUE(is_reported());
}

/* It has noted in the epoch that ends, and stores when the agent would be past its pass. */
TEST(between_its_note_and_its_store)
{
	struct tri_point *scanned, *noted, *waits, *read;
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	/* The agent has scanned all threads: it waits for none to answer, until it waits for those that are inside. */
	scanned = point_hold("scan.threads_done", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	noted = point_hold("note.noted", subject.tid);
	actor_ask(&subject, store_new, NULL);
	ASSERT_TRUE(point_reached(noted));
	waits = point_watch("quiesce.waits");
	read = point_watch("check.read");
	ASSERT_TRUE(point_release(scanned));
	/* It waits, or else does not, and is done. */
	ASSERT_TRUE(WAIT_FOR(point_passed(waits) || point_passed(read), 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(noted));
	ASSERT_TRUE(actor_finished(&subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_FALSE(is_reported());
}

/* Who waits for a cycle sees that something is done, or else gives up after ten seconds. */
TEST(a_pass_is_progress)
{
	struct tri_point *begins, *ends;
	uint64_t progress;

	ASSERT_TRUE(open_checked());
	begins = point_hold("check.pass", 0);
	ends = point_hold("check.read", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(begins));
	progress = tri_progress();
	ASSERT_TRUE(point_release(begins));
	ASSERT_TRUE(point_reached(ends));
	EXPECT_NE(progress, tri_progress());
	ASSERT_TRUE(point_release(ends));
	ASSERT_TRUE(cycle_ended());
	unlink(path);
}

/* 100 MiB, in pieces that are garbage at once. */
static void allocate_much(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 100; i++)
		tri_alloc_leaf(1 << 20);
}

TEST(who_allocates_waits_for_a_pass)
{
	struct tri_point *ends, *waits;
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	ends = point_hold("check.read", 0);
	waits = point_hold("check.pace", subject.tid);
	cycle_begin();
	ASSERT_TRUE(point_reached(ends));
	actor_ask(&subject, allocate_much, NULL);
	ASSERT_TRUE(point_reached(waits));
	ASSERT_TRUE(point_release(waits));
	/* It sleeps until the pass is over; or else when it has done everything. */
	wait_asleep(subject.tid, NULL);
	EXPECT_NE(atomic_load(&subject.asked) + 1, atomic_load(&subject.done));
	ASSERT_TRUE(point_release(ends));
	ASSERT_TRUE(actor_finished(&subject));
	ASSERT_TRUE(cycle_ended());
	unlink(path);
}

TEST_HARNESS_MAIN
