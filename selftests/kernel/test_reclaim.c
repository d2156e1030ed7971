// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reclaim.c - giving memory back, at once and lazily, and getting it again
 *
 * A page's contents tell which page it is.  After everything that may take pages away each page
 * must be either what was written there or zero, and where the module promises one of the two, that.
 */
#include <sys/time.h>

#include "arena.h"

#define BYTES (16 * MiB)
#define PAGES (BYTES / PAGE)

FIXTURE(reclaim)
{
	int fd, collector;
	char *p;
	uint64_t unit;			/* page size of the arena */
};

FIXTURE_VARIANT(reclaim)
{
	uint32_t flags;
	bool by_collector;		/* who makes the calls */
};

FIXTURE_VARIANT_ADD(reclaim, owner) { .flags = 0 };
FIXTURE_VARIANT_ADD(reclaim, collector) { .by_collector = true };
FIXTURE_VARIANT_ADD(reclaim, huge) { .flags = TRICOLOR_CREATE_HUGE, .by_collector = true };

static void fill(char *p, uint64_t from, uint64_t bytes)
{
	uint64_t i;

	for (i = from / PAGE; i < (from + bytes) / PAGE; i++)
		fill_page(p + i * PAGE, i);
}

/* How many pages of the range are as filled, and how many zero; any other is an error. */
static uint64_t count_filled(const char *p, uint64_t from, uint64_t bytes)
{
	uint64_t i, n = 0;

	for (i = from / PAGE; i < (from + bytes) / PAGE; i++) {
		bool filled = page_is(p + i * PAGE, i);

		ASSERT_TRUE(filled || page_is_zero(p + i * PAGE));
		n += filled;
	}
	return n;
}

FIXTURE_SETUP(reclaim)
{
	REQUIRE_MODULE();
	if (variant->flags && !has_feature(TRICOLOR_FEATURE_HUGE))
		SKIP(return, "no 2 MiB pages on this kernel");
	self->fd = new_arena(BYTES, variant->flags, NULL);
	self->p = map_rw(self->fd, BYTES);
	self->collector = variant->by_collector ? new_collector(self->fd) : self->fd;
	self->unit = variant->flags ? HUGE : PAGE;
	fill(self->p, 0, BYTES);
}

FIXTURE_TEARDOWN(reclaim)
{
}

TEST_F(reclaim, at_once)
{
	uint64_t unit = self->unit;
	struct tricolor_range r[] = {
		{ .offset = unit, .length = 2 * unit },
		{ .offset = 4 * unit, .length = 0 },
		{ .offset = BYTES - unit, .length = unit },
		{ .offset = unit, .length = unit },
	};
	struct tricolor_ranges v;
	int i;

	ASSERT_EQ(0, ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0, r, 4, &v));
	EXPECT_EQ(4, v.done);
	EXPECT_EQ(3 * unit, v.bytes);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, r[i].result);
		EXPECT_EQ(0, r[i].flags);
	}
	EXPECT_EQ(BYTES - 3 * unit, info(self->fd).resident_bytes);
	EXPECT_EQ(3 * unit, info(self->fd).reclaimed_bytes);
	EXPECT_EQ(unit, lseek(new_collector(self->fd), (off_t)unit, SEEK_HOLE));
	EXPECT_EQ(unit / PAGE, count_filled(self->p, 0, unit));
	EXPECT_EQ(0, count_filled(self->p, unit, 2 * unit));
	EXPECT_EQ((BYTES - 4 * unit) / PAGE, count_filled(self->p, 3 * unit, BYTES - 4 * unit));
	EXPECT_EQ(0, count_filled(self->p, BYTES - unit, unit));
	/* And the memory is there again. */
	fill(self->p, unit, unit);
	EXPECT_EQ(unit / PAGE, count_filled(self->p, unit, unit));
}

/* Each range says for itself how it went; a bad one does not keep the others from being done. */
TEST_F(reclaim, a_result_each)
{
	uint64_t unit = self->unit;
	static const uint64_t far = (1ull << 63) - PAGE;
	struct tricolor_range r[] = {
		{ .offset = 0, .length = unit },
		{ .offset = 1, .length = unit },
		{ .offset = unit, .length = 100 },
		{ .offset = BYTES, .length = unit },
		{ .offset = BYTES - unit, .length = 2 * unit },
		{ .offset = unit, .length = ~0ull - PAGE + 1 },
		{ .offset = ~0ull - PAGE + 1, .length = 2 * unit },
		{ .offset = far, .length = unit },
		{ .offset = 3 * unit, .length = unit },
	};
	const size_t n = sizeof(r) / sizeof(r[0]);
	static const unsigned long numbers[] = { TRICOLOR_IOC_RECLAIM, TRICOLOR_IOC_REUSE };
	struct tricolor_ranges v;
	uint32_t flags;
	size_t i, k;

	for (k = 0; k < 2; k++) {
		for (flags = 0; flags <= (k ? 0 : TRICOLOR_RECLAIM_LAZY); flags++) {
			for (i = 0; i < n; i++)
				r[i].result = 12345;
			ASSERT_EQ(0, ranges_call(self->collector, numbers[k], flags, r, n, &v));
			EXPECT_EQ(n, v.done);
			EXPECT_EQ(0, r[0].result);
			EXPECT_EQ(0, r[n - 1].result);
			for (i = 1; i < n - 1; i++)
				EXPECT_EQ(-EINVAL, r[i].result);
		}
	}
	EXPECT_EQ(0, count_filled(self->p, 0, unit));
	EXPECT_EQ(2 * unit / PAGE, count_filled(self->p, unit, 2 * unit));
}

TEST_F(reclaim, bad_vector)
{
	struct tricolor_range *r = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tricolor_ranges v;
	uint64_t unit = self->unit;
	const uint32_t n = PAGE / sizeof(*r);

	EXPECT_EQ(-EFAULT, ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0, NULL, 1, &v));
	EXPECT_EQ(-EFAULT, ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0,
				       (void *)0xffffffffffff0000ul, 1, &v));
	/* The last one lies half beyond what is mapped: those before it may have been done. */
	munmap((char *)r + PAGE, PAGE);
	r[n - 1] = (struct tricolor_range){ .offset = 0, .length = unit };
	EXPECT_EQ(-EFAULT, ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0, r, n + 1, &v));
	EXPECT_LE(v.done, n);
	/* Results have nowhere to go. */
	r[0] = (struct tricolor_range){ .offset = unit, .length = unit };
	mprotect(r, PAGE, PROT_READ);
	EXPECT_EQ(-EFAULT, ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0, r, 1, &v));
	EXPECT_EQ((BYTES - 2 * unit) / PAGE, count_filled(self->p, 2 * unit, BYTES - 2 * unit));
}

TEST_F(reclaim, lazy_keeps_and_reuse_says_so)
{
	uint64_t unit = self->unit, half = BYTES / 2, kept;
	struct tricolor_info i;
	bool gone;

	if (!has_feature(TRICOLOR_FEATURE_LAZY))
		SKIP(return, "no lazy freeing on this kernel");
	ASSERT_EQ(0, reclaim_lazy(self->collector, half, half));
	i = info(self->fd);
	EXPECT_EQ(half, i.lazy_bytes + i.purged_bytes);
	EXPECT_EQ(BYTES, i.resident_bytes + i.purged_bytes);
	EXPECT_EQ(0, i.reclaimed_bytes);
	/* It is the same twice over. */
	ASSERT_EQ(0, reclaim_lazy(self->collector, half, half));
	i = info(self->fd);
	EXPECT_EQ(half, i.lazy_bytes + i.purged_bytes);

	ASSERT_EQ(0, reuse(self->collector, half, half, &gone));
	i = info(self->fd);
	EXPECT_EQ(0, i.lazy_bytes);
	EXPECT_EQ(half, i.reused_bytes + i.purged_bytes);
	kept = count_filled(self->p, half, half);
	EXPECT_EQ(gone, kept != half / PAGE);
	EXPECT_EQ(half / PAGE, count_filled(self->p, 0, half));
	/* What was never freed can be reused as well, and what is a hole is gone. */
	ASSERT_EQ(0, reuse(self->collector, 0, unit, &gone));
	EXPECT_FALSE(gone);
	EXPECT_EQ(0, reclaim(self->collector, 0, unit));
	ASSERT_EQ(0, reuse(self->collector, 0, 2 * unit, &gone));
	EXPECT_TRUE(gone);
}

/* Lazy, reused and eagerly freed ranges over one another, against a model of what may be. */
TEST_F(reclaim, any_order)
{
	uint64_t units = BYTES / self->unit, seed = test_seed(), from, n, u, i, sum;
	enum { KEPT, LAZY, FREED } *model = calloc(units, sizeof(*model));
	int round, rounds = variant->flags ? 60 : 400, what;
	struct tricolor_info now;
	bool gone, expected;

	ASSERT_NE(NULL, model);
	for (round = 0; round < rounds; round++) {
		from = draw_below(&seed, units);
		n = draw_below(&seed, units - from < 300 ? units - from : 300) + 1;
		what = (int)draw_below(&seed, 5);
		if (what <= 1) {
			ASSERT_EQ(0, reclaim_lazy(self->collector, from * self->unit, n * self->unit));
			for (u = from; u < from + n; u++)
				if (model[u] == KEPT)
					model[u] = LAZY;
		} else if (what == 2) {
			ASSERT_EQ(0, reclaim(self->collector, from * self->unit, n * self->unit));
			for (u = from; u < from + n; u++)
				model[u] = FREED;
		} else if (what == 3) {
			ASSERT_EQ(0, reuse(self->collector, from * self->unit, n * self->unit, &gone));
			for (expected = false, u = from; u < from + n; u++) {
				if (model[u] == LAZY)
					model[u] = KEPT;
				expected |= model[u] == FREED;
			}
			/* The kernel may have taken lazy pages on its own. */
			if (!info(self->fd).purged_bytes)
				EXPECT_EQ(expected, gone);
		} else {
			/* What is written and then reused is there, if it was not lazy meanwhile. */
			ASSERT_EQ(0, reuse(self->collector, from * self->unit, n * self->unit, NULL));
			fill(self->p, from * self->unit, n * self->unit);
			for (u = from; u < from + n; u++)
				model[u] = KEPT;
		}
		for (sum = 0, u = 0; u < units; u++)
			sum += model[u] == LAZY;
		now = info(self->fd);
		EXPECT_LE(now.lazy_bytes, sum * self->unit);
		if (!now.purged_bytes)
			ASSERT_EQ(sum * self->unit, now.lazy_bytes);
	}
	for (u = 0; u < units; u++) {
		i = count_filled(self->p, u * self->unit, self->unit);
		if (model[u] == FREED)
			EXPECT_EQ(0, i);
		else if (model[u] == KEPT && !info(self->fd).purged_bytes)
			EXPECT_EQ(self->unit / PAGE, i);
	}
	free(model);
}

TEST_F(reclaim, lazy_then_at_once)
{
	uint64_t unit = self->unit;
	bool gone;

	ASSERT_EQ(0, reclaim_lazy(self->collector, 0, 4 * unit));
	ASSERT_EQ(0, reclaim(self->collector, unit, unit));
	/* Not read in between: that would give the hole a page. */
	ASSERT_EQ(0, reuse(self->collector, unit, unit, &gone));
	EXPECT_TRUE(gone);
	EXPECT_EQ(0, count_filled(self->p, unit, unit));
	/* Also by what knows nothing of lazy pages. */
	EXPECT_EQ(0, madvise(self->p + 2 * unit, unit, MADV_REMOVE));
	ASSERT_EQ(0, reuse(self->collector, 0, 4 * unit, &gone));
	EXPECT_TRUE(gone);
	EXPECT_EQ(0, count_filled(self->p, 2 * unit, unit));
	EXPECT_EQ(0, info(self->fd).lazy_bytes);
}

/* The end of an arena that has lazy pages. */
TEST_F(reclaim, lazy_at_the_end)
{
	ASSERT_EQ(0, reclaim_lazy(self->collector, 0, BYTES));
	munmap(self->p, BYTES);
	close(self->fd);
	if (variant->by_collector) {
		EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
		EXPECT_EQ(0, info(self->collector).lazy_bytes);
		close(self->collector);
	}
}

TEST_F(reclaim, populate)
{
	uint64_t unit = self->unit;
	struct tricolor_range r[] = {
		{ .offset = 0, .length = 4 * unit },
		{ .offset = BYTES, .length = unit },
	};
	struct tricolor_ranges v;

	ASSERT_EQ(0, reclaim(self->collector, 0, 2 * unit));
	EXPECT_EQ(BYTES - 2 * unit, info(self->fd).resident_bytes);
	ASSERT_EQ(0, ranges_call(self->fd, TRICOLOR_IOC_POPULATE, 0, r, 2, &v));
	EXPECT_EQ(2, v.done);
	EXPECT_EQ(0, r[0].result);
	EXPECT_EQ(-EINVAL, r[1].result);
	EXPECT_EQ(BYTES, info(self->fd).resident_bytes);
	EXPECT_EQ(0, count_filled(self->p, 0, 2 * unit));
	/* What was there is untouched. */
	EXPECT_EQ(2 * unit / PAGE, count_filled(self->p, 2 * unit, 2 * unit));
	if (variant->by_collector)
		EXPECT_EQ(-ENOTTY, range_call(self->collector, TRICOLOR_IOC_POPULATE, 0, 0, unit,
					      NULL));
}

/* A 2 MiB page can be cut; lazily it is freed as a whole or not at all. */
TEST_F(reclaim, parts_of_huge_pages)
{
	if (!variant->flags)
		return;
	EXPECT_EQ(-EINVAL, reclaim_lazy(self->collector, PAGE, HUGE));
	EXPECT_EQ(-EINVAL, reclaim_lazy(self->collector, 0, PAGE));
	EXPECT_EQ(-EINVAL, reuse(self->collector, 0, PAGE, NULL));
	EXPECT_EQ(0, reclaim(self->collector, PAGE, 3 * PAGE));
	EXPECT_EQ(0, count_filled(self->p, PAGE, 3 * PAGE));
	EXPECT_EQ(1, count_filled(self->p, 0, PAGE));
	EXPECT_EQ((HUGE - 4 * PAGE) / PAGE, count_filled(self->p, 4 * PAGE, HUGE - 4 * PAGE));
}

/* What a call costs depends on what is there, and not on how much might be. */
TEST_TIMEOUT(a_vast_arena, 30)
{
	const uint64_t bytes = 32ull << 40, places[] = { 0, 1ull << 30, bytes / 2, bytes - PAGE };
	struct tricolor_info i;
	bool gone;
	char *p;
	int fd, k;

	REQUIRE_MODULE();
	fd = new_arena(bytes, 0, NULL);
	p = map_rw(fd, bytes);
	for (k = 0; k < 4; k++)
		fill_page(p + places[k], (uint64_t)k);
	ASSERT_EQ(0, reclaim_lazy(fd, 0, bytes));
	i = info(fd);
	EXPECT_EQ(4 * PAGE, i.lazy_bytes + i.purged_bytes);
	ASSERT_EQ(0, reuse(fd, PAGE, bytes - PAGE, &gone));
	EXPECT_TRUE(gone);
	i = info(fd);
	EXPECT_LE(i.lazy_bytes, PAGE);
	if (!i.purged_bytes)
		EXPECT_EQ(PAGE, i.lazy_bytes);
	ASSERT_EQ(0, reclaim(fd, 0, bytes));
	i = info(fd);
	EXPECT_EQ(0, i.lazy_bytes);
	EXPECT_EQ(0, i.resident_bytes);
}

/* A signal that kills is not kept waiting by a long vector. */
TEST_F(reclaim, a_fatal_signal_ends_a_call)
{
	uint32_t n = query().max_ranges, i;
	struct tricolor_range *r = calloc(n, sizeof(*r));
	pid_t pid;

	ASSERT_NE(NULL, r);
	for (i = 0; i < n; i++)
		r[i].length = BYTES;
	pid = fork();
	if (!pid) {
		for (;;)
			ranges_call(self->collector, TRICOLOR_IOC_RECLAIM, 0, r, n, NULL);
	}
	usleep(20000);
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, wait_child(pid));
	EXPECT_EQ(0, info(self->fd).resident_bytes);
	free(r);
}

/* MADV_REMOVE frees at once, and what is written after it is kept: nothing of it is lazy. */
TEST(madv_remove_of_lazy_pages)
{
	uint64_t i, bytes = 4 * MiB, pages = bytes / PAGE;
	int fd;
	char *p;

	REQUIRE_MODULE();
	fd = new_arena(bytes, 0, NULL);
	p = map_rw(fd, bytes);
	memset(p, 1, bytes);
	ASSERT_EQ(0, reclaim_lazy(fd, 0, bytes));
	ASSERT_EQ(0, madvise(p, bytes / 2, MADV_REMOVE));
	EXPECT_LE(info(fd).lazy_bytes, bytes / 2);
	for (i = 0; i < pages / 2; i++)
		fill_page(p + i * PAGE, i);
	EXPECT_TRUE(WAIT_FOR(!write_text("/proc/sys/vm/drop_caches", "2") && !info(fd).lazy_bytes));
	for (i = 0; i < pages / 2; i++)
		ASSERT_TRUE(page_is(p + i * PAGE, i));
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A signal that comes again and again does not undo what was populated. */
TEST(populate_under_signals)
{
	struct itimerval every = { { 0, 500 }, { 0, 500 } }, never = { 0 };
	uint64_t bytes = 64 * MiB;
	int fd;

	REQUIRE_MODULE();
	fd = new_arena(bytes, 0, NULL);
	signal(SIGALRM, on_alarm);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &every, NULL));
	EXPECT_EQ(0, range_call(fd, TRICOLOR_IOC_POPULATE, 0, 0, bytes, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_EQ(bytes, info(fd).resident_bytes);
}

TEST_HARNESS_MAIN
