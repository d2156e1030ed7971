// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reclaim.c - giving memory back, and getting it again
 *
 * A page's contents tell which page it is: each must be what was written there, or zero once it was
 * freed.
 */
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

	ASSERT_EQ(0, reclaim_ranges(self->collector, r, 4, &v));
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
	struct tricolor_ranges v;
	size_t i;

	for (i = 0; i < n; i++)
		r[i].result = 12345;
	ASSERT_EQ(0, reclaim_ranges(self->collector, r, n, &v));
	EXPECT_EQ(n, v.done);
	EXPECT_EQ(0, r[0].result);
	EXPECT_EQ(0, r[n - 1].result);
	for (i = 1; i < n - 1; i++)
		EXPECT_EQ(-EINVAL, r[i].result);
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

	EXPECT_EQ(-EFAULT, reclaim_ranges(self->collector, NULL, 1, &v));
	EXPECT_EQ(-EFAULT, reclaim_ranges(self->collector, (void *)0xffffffffffff0000ul, 1, &v));
	/* The last one lies half beyond what is mapped: those before it may have been done. */
	munmap((char *)r + PAGE, PAGE);
	r[n - 1] = (struct tricolor_range){ .offset = 0, .length = unit };
	EXPECT_EQ(-EFAULT, reclaim_ranges(self->collector, r, n + 1, &v));
	EXPECT_LE(v.done, n);
	/* Results have nowhere to go. */
	r[0] = (struct tricolor_range){ .offset = unit, .length = unit };
	mprotect(r, PAGE, PROT_READ);
	EXPECT_EQ(-EFAULT, reclaim_ranges(self->collector, r, 1, &v));
	EXPECT_EQ((BYTES - 2 * unit) / PAGE, count_filled(self->p, 2 * unit, BYTES - 2 * unit));
}

/* Ranges are freed and filled over one another, against a model of what is where. */
TEST_F(reclaim, any_order)
{
	uint64_t units = BYTES / self->unit, seed = test_seed(), from, n, u, filled = units;
	bool *model = calloc(units, sizeof(*model)), free_them;
	int round, rounds = variant->flags ? 60 : 400;

	ASSERT_NE(NULL, model);
	memset(model, true, units);
	for (round = 0; round < rounds; round++) {
		from = draw_below(&seed, units);
		n = draw_below(&seed, units - from < 300 ? units - from : 300) + 1;
		free_them = draw_below(&seed, 2);
		if (free_them)
			ASSERT_EQ(0, reclaim(self->collector, from * self->unit, n * self->unit));
		else
			fill(self->p, from * self->unit, n * self->unit);
		for (u = from; u < from + n; u++) {
			filled += !free_them - model[u];
			model[u] = !free_them;
		}
		ASSERT_EQ(filled * self->unit, info(self->fd).resident_bytes);
	}
	for (u = 0; u < units; u++)
		EXPECT_EQ(model[u] ? self->unit / PAGE : 0,
			  count_filled(self->p, u * self->unit, self->unit));
	free(model);
}

/* A 2 MiB page can be cut. */
TEST_F(reclaim, parts_of_huge_pages)
{
	if (!variant->flags)
		return;
	EXPECT_EQ(0, reclaim(self->collector, PAGE, 3 * PAGE));
	EXPECT_EQ(0, count_filled(self->p, PAGE, 3 * PAGE));
	EXPECT_EQ(1, count_filled(self->p, 0, PAGE));
	EXPECT_EQ((HUGE - 4 * PAGE) / PAGE, count_filled(self->p, 4 * PAGE, HUGE - 4 * PAGE));
}

/* What a call costs depends on what is there, and not on how much might be. */
TEST_TIMEOUT(a_vast_arena, 30)
{
	const uint64_t bytes = 32ull << 40, places[] = { 0, 1ull << 30, bytes / 2, bytes - PAGE };
	char *p;
	int fd, k;

	REQUIRE_MODULE();
	fd = new_arena(bytes, 0, NULL);
	p = map_rw(fd, bytes);
	for (k = 0; k < 4; k++)
		fill_page(p + places[k], (uint64_t)k);
	EXPECT_EQ(4 * PAGE, info(fd).resident_bytes);
	ASSERT_EQ(0, reclaim(fd, 0, bytes));
	EXPECT_EQ(0, info(fd).resident_bytes);
	EXPECT_EQ(4 * PAGE, info(fd).reclaimed_bytes);
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
			reclaim_ranges(self->collector, r, n, NULL);
	}
	usleep(20000);
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, wait_child(pid));
	EXPECT_EQ(0, info(self->fd).resident_bytes);
	free(r);
}

TEST_HARNESS_MAIN
