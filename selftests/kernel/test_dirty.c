// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_dirty.c - the bitmap of written pages, against a list of what was written
 */
#include <pthread.h>
#include <stdatomic.h>

#include "arena.h"
#include "withheld.h"

#define BYTES (16 * MiB)
#define PAGES (BYTES / PAGE)
#define WORDS (PAGES / 64)

FIXTURE(dirty)
{
	int fd, collector;
	char *p;
	uint64_t bits[WORDS], expected[WORDS];
};

FIXTURE_SETUP(dirty)
{
	REQUIRE_MODULE();
	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	self->fd = new_arena(BYTES, 0, NULL);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
	memset(self->p, 1, BYTES);
}

FIXTURE_TEARDOWN(dirty)
{
}

static void mark(uint64_t *bits, uint64_t page)
{
	bits[page / 64] |= 1ull << (page % 64);
}

static bool is_marked(const uint64_t *bits, uint64_t page)
{
	return bits[page / 64] >> (page % 64) & 1;
}

static uint64_t count(const uint64_t *bits, uint64_t pages)
{
	uint64_t i, n = 0;

	for (i = 0; i < pages; i++)
		n += is_marked(bits, i);
	return n;
}

static int start(int fd)
{
	return dirty_call(fd, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL);
}

/* Collect all: the bitmap is what was expected, and no more. */
#define EXPECT_WRITTEN(self)								\
	do {										\
		uint64_t pages_ = 0;							\
											\
		memset((self)->bits, 0xee, sizeof((self)->bits));			\
		ASSERT_EQ(0, dirty_call((self)->collector, 0, 0, BYTES, (self)->bits,	\
					&pages_));					\
		EXPECT_EQ(count((self)->expected, PAGES), pages_);			\
		EXPECT_EQ(0, memcmp((self)->expected, (self)->bits, sizeof((self)->bits)));	\
		memset((self)->expected, 0, sizeof((self)->expected));			\
	} while (0)

TEST_F(dirty, not_begun)
{
	EXPECT_EQ(-ENODATA, dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL));
	ASSERT_EQ(0, start(self->collector));
	EXPECT_EQ(TRICOLOR_STATE_DIRTY, info(self->fd).state);
	EXPECT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL));
	EXPECT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_STOP, 0, 0, NULL, NULL));
	EXPECT_EQ(0, info(self->fd).state);
	EXPECT_EQ(-ENODATA, dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL));
	/* To stop what does not run is no error, nor is to begin twice. */
	EXPECT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_STOP, 0, 0, NULL, NULL));
	EXPECT_EQ(0, start(self->fd));
	EXPECT_EQ(0, start(self->collector));
}

TEST_F(dirty, bad_arguments)
{
	const struct {
		uint32_t flags;
		uint64_t offset, length;
		int expected;
	} bad[] = {
		{ 0, 1, PAGE, -EINVAL },
		{ 0, 0, PAGE + 1, -EINVAL },
		{ 0, BYTES, PAGE, -EINVAL },
		{ 0, PAGE, BYTES, -EINVAL },
		{ 0, 0, ~0ull - PAGE + 1, -EINVAL },
		{ 0, PAGE, ~0ull - PAGE + 1, -EINVAL },
		{ 0, 1ull << 63, PAGE, -EINVAL },
		{ TRICOLOR_DIRTY_START, 1, PAGE, -EINVAL },
		{ TRICOLOR_DIRTY_START, 0, BYTES + PAGE, -EINVAL },
		{ TRICOLOR_DIRTY_STOP, PAGE, 0, -EINVAL },
		{ TRICOLOR_DIRTY_STOP, 0, PAGE, -EINVAL },
		{ TRICOLOR_DIRTY_START | TRICOLOR_DIRTY_STOP, 0, 0, -EINVAL },
	};
	uint64_t *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	size_t i;

	ASSERT_EQ(0, start(self->collector));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = dirty_call(self->collector, bad[i].flags, bad[i].offset, bad[i].length,
				     bad[i].flags & TRICOLOR_DIRTY_STOP ? NULL : self->bits, NULL);

		if (err != bad[i].expected)
			TH_LOG("row %zu: %d", i, err);
		EXPECT_EQ(bad[i].expected, err);
	}
	EXPECT_EQ(-EFAULT, dirty_call(self->collector, 0, 0, BYTES, NULL, NULL));
	munmap((char *)edge + PAGE, PAGE);
	EXPECT_EQ(-EFAULT, dirty_call(self->collector, 0, 0, BYTES,
				      edge + PAGE / 8 - WORDS + 1, NULL));
	EXPECT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, edge + PAGE / 8 - WORDS, NULL));
	/* Nothing to collect. */
	EXPECT_EQ(0, dirty_call(self->collector, 0, PAGE, 0, self->bits, NULL));
}

TEST_F(dirty, exact)
{
	uint64_t seed = test_seed(), n, page;
	int round;

	ASSERT_EQ(0, start(self->collector));
	EXPECT_WRITTEN(self);
	for (round = 0; round < 30; round++) {
		for (n = draw_below(&seed, 400); n; n--) {
			page = draw_below(&seed, PAGES);
			self->p[page * PAGE + draw_below(&seed, PAGE)]++;
			mark(self->expected, page);
		}
		/* To read is not to write. */
		for (page = 0; page < PAGES; page += 7)
			(void)*(volatile char *)(self->p + page * PAGE);
		EXPECT_WRITTEN(self);
	}
	/* The first and last of all, and of words. */
	for (page = 0; page < PAGES; page += 63) {
		self->p[page * PAGE] = 2;
		mark(self->expected, page);
	}
	self->p[BYTES - 1] = 2;
	mark(self->expected, PAGES - 1);
	EXPECT_WRITTEN(self);
	EXPECT_WRITTEN(self);
}

/* Asking about a part leaves the rest for another time; bits begin at the part's first page. */
TEST_F(dirty, in_parts)
{
	uint64_t first = 100, n = 70, pages, word[2] = { ~0ull, ~0ull };

	ASSERT_EQ(0, start(self->collector));
	self->p[99 * PAGE] = self->p[100 * PAGE] = self->p[169 * PAGE] = self->p[170 * PAGE] = 2;
	ASSERT_EQ(0, dirty_call(self->collector, 0, first * PAGE, n * PAGE, word, &pages));
	EXPECT_EQ(2, pages);
	EXPECT_EQ(1, word[0]);
	EXPECT_EQ(1ull << 5, word[1]);
	mark(self->expected, 99);
	mark(self->expected, 170);
	EXPECT_WRITTEN(self);
}

/* START forgets what was written in its range. */
TEST_F(dirty, a_new_start)
{
	ASSERT_EQ(0, start(self->collector));
	memset(self->p, 2, BYTES);
	ASSERT_EQ(0, start(self->collector));
	EXPECT_WRITTEN(self);
}

/* The collector's own writes count: it can tell which they are. */
TEST_F(dirty, by_any_mapping)
{
	char *q = map_rw(self->collector, BYTES), *r = map_rw(self->fd, BYTES);

	ASSERT_EQ(0, start(self->collector));
	q[5 * PAGE] = 2;
	r[6 * PAGE] = 2;
	self->p[7 * PAGE] = 2;
	mark(self->expected, 5);
	mark(self->expected, 6);
	mark(self->expected, 7);
	EXPECT_WRITTEN(self);
}

/* The kernel writes for the program in system calls. */
TEST_F(dirty, by_the_kernel)
{
	int zero = open("/dev/zero", O_RDONLY);

	ASSERT_EQ(0, start(self->collector));
	ASSERT_EQ(3 * PAGE, read(zero, self->p + 10 * PAGE, 3 * PAGE));
	mark(self->expected, 10);
	mark(self->expected, 11);
	mark(self->expected, 12);
	EXPECT_WRITTEN(self);
}

/* Memory that was not there has been written when it is. */
TEST_F(dirty, fresh_memory)
{
	ASSERT_EQ(0, reclaim(self->fd, 0, 8 * PAGE));
	ASSERT_EQ(0, start(self->collector));
	self->p[3 * PAGE] = 1;
	ASSERT_EQ(0, dirty_call(self->collector, 0, 0, 8 * PAGE, self->bits, NULL));
	EXPECT_TRUE(is_marked(self->bits, 3));
}

/* Unmapped, a page has no dirty bit any more; it counts, mapped again or not. */
TEST_F(dirty, dropped_and_read_again)
{
	ASSERT_EQ(0, start(self->collector));
	self->p[20 * PAGE] = self->p[21 * PAGE] = 2;
	ASSERT_EQ(0, madvise(self->p + 20 * PAGE, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(2, *(volatile char *)(self->p + 20 * PAGE));
	mark(self->expected, 20);
	mark(self->expected, 21);
	EXPECT_WRITTEN(self);
	/* Once told, one that is mapped is known; of the other nobody knows. */
	mark(self->expected, 21);
	EXPECT_WRITTEN(self);
}

struct caller {
	int fd;
	char *bits;
};

static void *collect(void *arg)
{
	struct caller *c = arg;

	return (void *)(intptr_t)dirty_call(c->fd, 0, 0, BYTES, (uint64_t *)c->bits, NULL);
}

/* The owner asks, with a bitmap that it keeps from the kernel.  That holds up nobody else. */
TEST_F(dirty, bitmap_that_is_withheld)
{
	struct pollfd wanted = { .events = POLLIN };
	struct caller c = { .fd = self->fd };
	int status = -1;
	void *result;
	pthread_t t;
	pid_t pid;

	c.bits = withheld_page(&wanted.fd);
	if (!c.bits)
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	ASSERT_EQ(0, start(self->collector));
	ASSERT_EQ(0, pthread_create(&t, NULL, collect, &c));
	ASSERT_EQ(1, poll(&wanted, 1, 20000));
	pid = fork();
	if (!pid)
		_exit(dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL) ? 1 : 0);
	EXPECT_TRUE(WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid));
	EXPECT_EQ(0, status);
	give_page(wanted.fd, c.bits);
	pthread_join(t, &result);
	EXPECT_EQ(0, (intptr_t)result);
}

/* Nothing is lost: the memory keeps what was written, whatever the bits say. */
TEST_F(dirty, contents_stay)
{
	uint64_t i;

	ASSERT_EQ(0, start(self->collector));
	for (i = 0; i < PAGES; i++)
		fill_page(self->p + i * PAGE, i);
	ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL));
	ASSERT_EQ(0, madvise(self->p, BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->p, BYTES, MADV_PAGEOUT));
	for (i = 0; i < PAGES; i++)
		ASSERT_TRUE(page_is(self->p + i * PAGE, i));
}

TEST(not_with_huge_pages)
{
	uint64_t bits[1];
	int fd;

	REQUIRE_MODULE();
	if (!has_feature(TRICOLOR_FEATURE_HUGE))
		SKIP(return, "no 2 MiB pages on this kernel");
	fd = new_arena(2 * HUGE, TRICOLOR_CREATE_HUGE, NULL);
	EXPECT_EQ(-EOPNOTSUPP, dirty_call(fd, TRICOLOR_DIRTY_START, 0, 2 * HUGE, NULL, NULL));
	EXPECT_EQ(-EOPNOTSUPP, dirty_call(fd, 0, 0, PAGE, bits, NULL));
}

/* ------------------------------------------------------------------------------------------ */
/* At the same time                                                                           */
/* ------------------------------------------------------------------------------------------ */

#define WRITES 200000

/*
 * A writer says of each write, before and after it, in which round of collecting it was: a page
 * that was written must be in the bitmap of a round between those two.
 */
struct writer {
	struct dirty_self *self;
	_Atomic uint64_t *round;
	struct {
		uint64_t page, before, after;
	} log[WRITES];
	_Atomic bool done;
};

static void *write_pages(void *arg)
{
	struct writer *w = arg;
	uint64_t seed = 42, i;

	for (i = 0; i < WRITES; i++) {
		w->log[i].page = draw_below(&seed, PAGES);
		w->log[i].before = atomic_load(w->round);
		*(volatile char *)(w->self->p + w->log[i].page * PAGE) = (char)i;
		w->log[i].after = atomic_load(w->round);
	}
	atomic_store(&w->done, true);
	return NULL;
}

TEST_F_TIMEOUT(dirty, while_it_is_written, 120)
{
	static struct writer w;
	static uint64_t rounds[4096][WORDS];
	_Atomic uint64_t round = 0;
	uint64_t i, r, missed = 0;
	pthread_t thread;
	bool last, found;

	w.self = self;
	w.round = &round;
	ASSERT_EQ(0, start(self->collector));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_pages, &w));
	do {
		last = atomic_load(&w.done);
		ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, rounds[round], NULL));
		/* The round is over when its bits are here. */
		atomic_fetch_add(&round, 1);
	} while (!last && round < 4095);
	pthread_join(thread, NULL);
	if (!last) {
		ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, rounds[round], NULL));
		atomic_fetch_add(&round, 1);
	}
	for (i = 0; i < WRITES; i++) {
		for (found = false, r = w.log[i].before; r <= w.log[i].after + 1 && r < round; r++)
			found |= is_marked(rounds[r], w.log[i].page);
		missed += !found;
	}
	EXPECT_EQ(0, missed);
	TH_LOG("%llu rounds, %d writes", (unsigned long long)round, WRITES);
}

/*
 * A new page whose dirty bit is taken away at once is no clean page, which reclaim would drop.  It
 * is read first: a fault that writes marks the page itself dirty, after one that reads nothing
 * does.
 */
TEST_F(dirty, new_pages_are_kept)
{
	uint64_t seed = test_seed(), round, first, i, lost = 0;
	const uint64_t n = 32;
	pid_t pid;

	ASSERT_EQ(0, start(self->collector));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		while (!dirty_call(self->collector, 0, 0, BYTES, self->bits, NULL))
			;
		_exit(1);
	}
	for (round = 0; round < 1000 && !lost; round++) {
		first = draw_below(&seed, PAGES - n + 1);
		ASSERT_EQ(0, reclaim(self->fd, first * PAGE, n * PAGE));
		for (i = first; i < first + n; i++) {
			ASSERT_EQ(0, *(volatile char *)(self->p + i * PAGE));
			fill_page(self->p + i * PAGE, i);
		}
		ASSERT_EQ(0, madvise(self->p + first * PAGE, n * PAGE, MADV_PAGEOUT));
		for (i = first; i < first + n; i++)
			lost += !page_is(self->p + i * PAGE, i);
	}
	kill(pid, SIGKILL);
	/* It was collecting to the end. */
	EXPECT_EQ(128 + SIGKILL, wait_child(pid));
	EXPECT_EQ(0, lost);
	TH_LOG("%llu rounds", (unsigned long long)round);
}

/* A bitmap that can't be written to loses nothing: what it was not told is told the next time. */
TEST(failed_collection)
{
	/* Two stretches of the module's, of 32768 pages; the first one has a place. */
	uint64_t stretch = 32768, pages = 2 * stretch, i, dirty;
	struct tricolor_dirty d = { .size = sizeof(d), .length = pages * PAGE };
	uint64_t *bits;
	char *p;
	int fd;

	REQUIRE_MODULE();
	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	fd = new_arena(pages * PAGE, 0, NULL);
	p = map_rw(fd, pages * PAGE);
	bits = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, bits);
	ASSERT_EQ(0, mprotect((char *)bits + PAGE, PAGE, PROT_NONE));
	for (i = 0; i < pages; i += 1024)
		p[i * PAGE] = 1;
	ASSERT_EQ(0, dirty_call(fd, TRICOLOR_DIRTY_START, 0, pages * PAGE, NULL, NULL));
	for (i = 0; i < pages; i += 1024)
		p[i * PAGE] = 2;
	d.bitmap = (uintptr_t)bits;
	EXPECT_EQ(-EFAULT, call(fd, TRICOLOR_IOC_DIRTY, &d));
	EXPECT_EQ(stretch * PAGE, d.length);
	EXPECT_EQ(stretch / 1024, d.dirty_pages);
	ASSERT_EQ(0, mprotect((char *)bits + PAGE, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, dirty_call(fd, 0, stretch * PAGE, stretch * PAGE, bits, &dirty));
	EXPECT_EQ(stretch / 1024, dirty);
	for (i = 0; i < stretch; i++)
		if (!!(bits[i / 64] >> (i % 64) & 1) != !(i % 1024))
			break;
	EXPECT_EQ(stretch, i);
	/* And once only. */
	ASSERT_EQ(0, dirty_call(fd, 0, 0, pages * PAGE, bits, &dirty));
	EXPECT_EQ(0, dirty);
	/* The first stretch may have no place either. */
	p[0] = 3;
	d = (struct tricolor_dirty){ .size = sizeof(d), .length = PAGE, .bitmap = 1 };
	EXPECT_EQ(-EFAULT, call(fd, TRICOLOR_IOC_DIRTY, &d));
	EXPECT_EQ(0, d.length);
	ASSERT_EQ(0, dirty_call(fd, 0, 0, PAGE, bits, &dirty));
	EXPECT_EQ(1, dirty);
}

TEST_HARNESS_MAIN
