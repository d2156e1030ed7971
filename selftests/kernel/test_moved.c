// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_moved.c - pages that the kernel moves, unmaps or loses while they are used
 *
 * The last pages of an arena are moved or unmapped all the time.  The others are there so that a
 * collection of written pages takes long, for something to happen to the last ones within it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "arena.h"

#define BYTES (64 * MiB)
#define PAGES (BYTES / PAGE)
#define WORDS (PAGES / 64)
#define HOT 64				/* pages */
#define TURNS 20			/* of who moves or unmaps them, at least */
#define ROUNDS 60

#define MOVE_ALL 4		/* MPOL_MF_MOVE_ALL of linux/mempolicy.h: shared pages too */

/* The second node, or a negative number: there is none. */
static int second_node(void)
{
	return access("/sys/devices/system/node/node1/meminfo", F_OK) ? -1 : 1;
}

/* Move the hot pages at @p to @node; how many are there now. */
static uint64_t move_to(char *p, int node)
{
	void *pages[HOT];
	int nodes[HOT], status[HOT];
	uint64_t i, there = 0;

	for (i = 0; i < HOT; i++) {
		pages[i] = p + i * PAGE;
		nodes[i] = node;
		status[i] = -1;
	}
	if (syscall(SYS_move_pages, 0, HOT, pages, nodes, status, MOVE_ALL) < 0)
		return 0;
	/* What was moved before is not told; ask. */
	if (syscall(SYS_move_pages, 0, HOT, pages, NULL, status, 0) < 0)
		return 0;
	for (i = 0; i < HOT; i++)
		there += status[i] == node;
	return there;
}

FIXTURE(moved)
{
	int fd, collector;
	char *p, *hot;
	_Atomic bool over;
	_Atomic uint64_t turns, moved;
};

FIXTURE_SETUP(moved)
{
	uint64_t i;

	REQUIRE_MODULE();
	self->fd = new_arena(BYTES, 0, NULL);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
	self->hot = self->p + BYTES - HOT * PAGE;
	for (i = 0; i < PAGES; i++)
		fill_page(self->p + i * PAGE, i);
}

FIXTURE_TEARDOWN(moved)
{
}

typedef struct moved_self moved_self;

static void *move_between_nodes(void *arg)
{
	moved_self *self = arg;

	while (!atomic_load(&self->over)) {
		self->moved += move_to(self->hot, self->turns & 1);
		self->turns++;
	}
	return NULL;
}

static void *compact(void *arg)
{
	moved_self *self = arg;

	while (!atomic_load(&self->over)) {
		if (write_text("/proc/sys/vm/compact_memory", "1"))
			break;
		self->turns++;
	}
	return NULL;
}

/* Without swap nothing is taken that was unmapped for it. */
static void *drop(void *arg)
{
	moved_self *self = arg;

	while (!atomic_load(&self->over)) {
		madvise(self->hot, HOT * PAGE, MADV_PAGEOUT);
		self->turns++;
	}
	return NULL;
}

/* Maps pages again, clean. */
static void *read_pages(void *arg)
{
	moved_self *self = arg;
	uint64_t seed = 7;

	while (!atomic_load(&self->over))
		(void)*(volatile char *)(self->hot + draw_below(&seed, HOT) * PAGE);
	return NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* Contents                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static void check_contents(moved_self *self, void *(*mover)(void *))
{
	uint64_t seed = test_seed(), numbers[HOT], i, page;
	pthread_t t;

	for (i = 0; i < HOT; i++)
		numbers[i] = PAGES - HOT + i;
	ASSERT_EQ(0, pthread_create(&t, NULL, mover, self));
	for (i = 0; i < 4000 || self->turns < TURNS; i++) {
		page = draw_below(&seed, HOT);
		ASSERT_TRUE(page_is(self->hot + page * PAGE, numbers[page]));
		numbers[page] = seed & 0xffffff;
		fill_page(self->hot + page * PAGE, numbers[page]);
	}
	self->over = true;
	pthread_join(t, NULL);
	for (i = 0; i < HOT; i++)
		ASSERT_TRUE(page_is(self->hot + i * PAGE, numbers[i]));
	TH_LOG("%llu turns", (unsigned long long)self->turns);
}

TEST_F_TIMEOUT(moved, contents_between_nodes, 120)
{
	uint64_t i;
	char *q;

	if (second_node() < 0)
		SKIP(return, "one node only");
	check_contents(self, move_between_nodes);
	EXPECT_LT(0, self->moved);
	/* With nothing in the way, all: to either node, by way of the collector's mapping too. */
	EXPECT_EQ(HOT, move_to(self->hot, 1));
	q = map(self->collector, BYTES, PROT_READ) + BYTES - HOT * PAGE;
	for (i = 0; i < HOT; i++)
		(void)*(volatile char *)(q + i * PAGE);
	EXPECT_EQ(HOT, move_to(q, 0));
}

TEST_F_TIMEOUT(moved, contents_while_compacting, 120)
{
	if (access("/proc/sys/vm/compact_memory", W_OK))
		SKIP(return, "no compaction on this kernel");
	check_contents(self, compact);
}

/* ------------------------------------------------------------------------------------------ */
/* Written pages                                                                              */
/* ------------------------------------------------------------------------------------------ */

/* All hot pages are written, then written pages are collected: they are among these. */
static void check_written(moved_self *self, void *(*mover)(void *), void *(*reader)(void *))
{
	uint64_t bits[WORDS], missed = 0, round, i;
	pthread_t moving, reading;

	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	ASSERT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
	ASSERT_EQ(0, pthread_create(&moving, NULL, mover, self));
	if (reader)
		ASSERT_EQ(0, pthread_create(&reading, NULL, reader, self));
	for (round = 0; round < ROUNDS || self->turns < TURNS; round++) {
		for (i = 0; i < HOT; i++)
			*(volatile char *)(self->hot + i * PAGE) = (char)round;
		ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, bits, NULL));
		for (i = PAGES - HOT; i < PAGES; i++)
			missed += !(bits[i / 64] >> (i % 64) & 1);
	}
	self->over = true;
	pthread_join(moving, NULL);
	if (reader)
		pthread_join(reading, NULL);
	EXPECT_EQ(0, missed);
	TH_LOG("%llu collections, %llu turns, %llu of %llu writes missed",
	       (unsigned long long)round, (unsigned long long)self->turns,
	       (unsigned long long)missed, (unsigned long long)(round * HOT));
}

TEST_F_TIMEOUT(moved, written_between_nodes, 120)
{
	if (second_node() < 0)
		SKIP(return, "one node only");
	check_written(self, move_between_nodes, NULL);
}

TEST_F_TIMEOUT(moved, written_while_compacting, 120)
{
	if (access("/proc/sys/vm/compact_memory", W_OK))
		SKIP(return, "no compaction on this kernel");
	check_written(self, compact, NULL);
}

/* A page that was written, unmapped, and mapped again by a read while it is collected. */
TEST_F_TIMEOUT(moved, written_while_unmapped, 120)
{
	check_written(self, drop, read_pages);
}

/* ------------------------------------------------------------------------------------------ */
/* Lost pages                                                                                 */
/* ------------------------------------------------------------------------------------------ */

#define POISON 100			/* MADV_HWPOISON of linux/mman.h: the memory is broken */

/* Memory fails: who looks at the page is told, and freeing it makes room for another one. */
/* The kernel tells whoever has the page, by a signal that is no fault of an instruction. */
static void on_memory_failure(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code != BUS_MCEERR_AO && info->si_code != BUS_MCEERR_AR)
		signal(number, SIG_DFL);
}

TEST_F(moved, poisoned)
{
	struct sigaction told = { .sa_sigaction = on_memory_failure, .sa_flags = SA_SIGINFO };
	const uint64_t bad = 5;
	char *q = map_rw(self->collector, BYTES);
	uint64_t bits[WORDS], i;
	int ends[2];

	/* Linux 6.12 sends it, 6.1 does not. */
	ASSERT_EQ(0, sigaction(SIGBUS, &told, NULL));
	if (madvise(self->p + bad * PAGE, PAGE, POISON))
		SKIP(return, "memory can't be made to fail here: %s", strerror(errno));
	signal(SIGBUS, SIG_DFL);
	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(-1, write(ends[1], self->p + bad * PAGE, 1));
	EXPECT_EQ(-1, write(ends[1], q + bad * PAGE, 1));
	for (i = 0; i < PAGES; i++)
		if (i != bad)
			ASSERT_TRUE(page_is(self->p + i * PAGE, i));
	EXPECT_EQ(-1, pread(self->collector, bits, sizeof(bits), (off_t)(bad * PAGE)));
	if (has_feature(TRICOLOR_FEATURE_DIRTY)) {
		EXPECT_EQ(0, dirty_call(self->fd, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
		EXPECT_EQ(0, dirty_call(self->fd, 0, 0, BYTES, bits, NULL));
	}
	ASSERT_EQ(0, reclaim(self->fd, bad * PAGE, PAGE));
	/* As with any shared memory, the page tables know of it until they are told to forget. */
	ASSERT_EQ(0, madvise(self->p + bad * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(q + bad * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_TRUE(page_is_zero(self->p + bad * PAGE));
	fill_page(self->p + bad * PAGE, 1);
	EXPECT_TRUE(page_is(q + bad * PAGE, 1));
}

TEST_HARNESS_MAIN
