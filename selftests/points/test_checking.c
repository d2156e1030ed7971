// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checking.c - TRICOLOR_DEBUG=barriers: stores by the library at each moment of a pass are not
 * reported
 *
 * An actor stores while the agent is held before, in or behind its pass, or while the actor itself
 * is held between its note and its store.  More passes follow, and no report may come.  A plain
 * store at the same moment is reported, which shows that the test would notice one.
 *
 * Other tests make plain stores in each Nth pass and in no other pass.  The checker must find who
 * stores, whatever N is.
 */
#include "lib/stage.h"

#include "libclient/limits/uncollected.h"
#include "lib/witness.h"

static char path[] = "/tmp/test_checking.XXXXXX";
static void *slot_word;
static void **slot = &slot_word;	/* a global */

static bool open_checked(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return false;
	close(fd);
	/*
	 * This program calls hidden functions of the library, so it is linked with the static
	 * library.  It does not lie where that looks for a collector.
	 */
	setenv("TRICOLOR_DAEMON", daemon_path(), 1);
	setenv("TRICOLOR_DEBUG", "barriers", 1);
	setenv("TRICOLOR_DEBUG_FILE", path, 1);
	return stage_open();
}

#define STINT 32	/* passes for which a word is watched, before it is reported without its
			 * instruction */
#define PASSES (STINT + 4)

/* What has been reported; if it is empty, not even the start of the checker. */
static const char *reports(void)
{
	static char text[1 << 20];
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[n] = 0;
	if (file)
		fclose(file);
	return text;
}

/* Whether a store has been reported, after some more passes. */
static bool is_reported(void)
{
	const char *text;
	int i;

	for (i = 0; i < PASSES; i++)
		if (!cycle_whole())
			return true;
	text = reports();
	unlink(path);
	return !*text || strstr(text, "\"event\":\"store\"") ||
	       strstr(text, "\"event\":\"refused\"");
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
	return point_reached(point) && actor_does(subject, store, NULL) && point_release(point) &&
	       cycle_ended();
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

/*
 * The thread has made its note in the epoch that ends, and it stores when the agent would be past
 * its pass.
 */
TEST(between_its_note_and_its_store)
{
	struct tri_point *begins, *noted, *waits, *read;
	struct actor subject;

	ASSERT_TRUE(open_checked());
	ASSERT_TRUE(actor_start(&subject));
	/*
	 * Marking is complete, so there is no handshake before the pass that the thread would have
	 * to answer.
	 */
	begins = point_hold("check.begins", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(begins));
	noted = point_hold("note.noted", subject.tid);
	actor_ask(&subject, store_new, NULL);
	ASSERT_TRUE(point_reached(noted));
	waits = point_watch("quiesce.waits");
	read = point_watch("check.read");
	ASSERT_TRUE(point_release(begins));
	/* The agent waits for the thread.  If it did not wait, the pass would be done. */
	ASSERT_TRUE(WAIT_FOR(point_passed(waits) || point_passed(read), 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(noted));
	ASSERT_TRUE(actor_finished(&subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_FALSE(is_reported());
}

/*
 * A thread that waits for a cycle sees progress; without any, it would give up after ten seconds.
 */
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

/* Allocate 100 MiB in pieces that are garbage at once. */
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
	/*
	 * The thread sleeps until the pass is over.  If it did not sleep, it would go on until it
	 * had done everything.
	 */
	wait_asleep(subject.tid, NULL);
	EXPECT_NE(atomic_load(&subject.asked) + 1, atomic_load(&subject.done));
	ASSERT_TRUE(point_release(ends));
	ASSERT_TRUE(actor_finished(&subject));
	ASSERT_TRUE(cycle_ended());
	unlink(path);
}

/* ---- One pass after the other, as the test says ---- */

#define WORDS 8

static void store_word(void *arg)
{
	struct box *volatile *at = arg;

	*at = tri_alloc(sizeof(struct box));
}

/*
 * The agent is held before a pass.  It goes on until it has read all words, and from there to the
 * next pass.
 */
static bool go_on_to_read(struct tri_point *before, struct tri_point *behind)
{
	point_hold_again(behind);
	return point_release(before) && point_reached(behind);
}

static bool go_on_to_next_pass(struct tri_point *before, struct tri_point *behind)
{
	point_hold_again(before);
	return point_release(behind) && point_reached(before);
}

/*
 * Store to those of the first @words words of the box whose turn it is in pass @i: each word has
 * its turn in each @nth pass.
 */
static bool store_words(struct actor *subject, int i, int nth, int words)
{
	int word;

	for (word = 0; word < words; word++)
		if ((i + word) % nth == 0 && !actor_does(subject, store_word, &box->at[word]))
			return false;
	return true;
}

/*
 * Make such stores in @passes passes.  @late: when the words have been read, and the agent does not
 * watch them yet.
 */
static bool store_in_each(int nth, int words, int passes, bool late)
{
	struct tri_point *before, *behind;
	struct actor subject;
	int i;

	if (!open_checked() || !actor_start(&subject) ||
	    !actor_does(&subject, stage_fill_box, NULL) || !cycle_whole())
		return false;
	before = point_hold("check.pass", 0);
	behind = point_watch("check.read");
	if (!point_reached(before) || !go_on_to_read(before, behind) ||
	    !go_on_to_next_pass(before, behind))
		return false;
	for (i = 0; i < passes; i++)
		if ((!late && !store_words(&subject, i, nth, words)) ||
		    !go_on_to_read(before, behind) ||
		    (late && !store_words(&subject, i, nth, words)) ||
		    !go_on_to_next_pass(before, behind))
			return false;
	return point_release(before);
}

/* Where neither events nor tracing are permitted, the checker can't know who stores. */
static bool can_not_be_watched(const char *text)
{
	return strstr(text, "\"why\":\"perf_event_open");
}

static int times(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* The report after such stores; NULL: who stores can't be known here. */
static const char *reports_of(int nth, int words, int passes, bool late)
{
	const char *text;

	ASSERT_TRUE(store_in_each(nth, words, passes, late));
	text = reports();
	unlink(path);
	return can_not_be_watched(text) ? NULL : text;
}

/*
 * The three ways to watch a word do not take turns by passes, so a store in each third pass is not
 * missed by all three.
 */
TEST(who_stores_in_each_third_pass)
{
	const char *text = reports_of(3, 1, 12, false);

	if (!text)
		SKIP(return, "no hardware breakpoints here");
	EXPECT_EQ(1, times(text, "\"event\":\"store\""));
	EXPECT_EQ(1, times(text, "\"store\":{"));
}

/*
 * On a busy machine it takes long until a word is watched.  A store before that is noticed in the
 * next pass only.
 */
TEST(who_stores_before_a_word_is_watched)
{
	const char *text = reports_of(3, 1, 12, true);

	if (!text)
		SKIP(return, "no hardware breakpoints here");
	EXPECT_EQ(1, times(text, "\"event\":\"store\""));
	EXPECT_EQ(1, times(text, "\"store\":{"));
}

/*
 * The word is reported without the instruction after it was watched without a hit, and with the
 * instruction in the end.
 */
TEST(who_stores_in_each_40th_pass)
{
	const char *text = reports_of(STINT + 8, 1, 3 * (STINT + 8) + 2, false);

	if (!text)
		SKIP(return, "no hardware breakpoints here");
	EXPECT_EQ(1, times(text, "\"event\":\"suspect\""));
	EXPECT_EQ(1, times(text, "\"store\":null"));
	EXPECT_EQ(1, times(text, "\"store\":{"));
	EXPECT_EQ(1, times(text, "\"event\":\"known\""));
}

/* There are more words than can be watched at a time.  Each is watched until it is stored to. */
TEST(who_stores_to_many_words)
{
	const char *text = reports_of(5, WORDS, 40, false);

	if (!text)
		SKIP(return, "no hardware breakpoints here");
	EXPECT_EQ(1, times(text, "\"store\":{"));
	EXPECT_EQ(0, times(text, "\"store\":null"));
}

TEST_HARNESS_MAIN
