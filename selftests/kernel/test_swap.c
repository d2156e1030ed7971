// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_swap.c - nothing is lost, and nothing comes back, when arenas are swapped out
 *
 * Swaps to the device that TRICOLOR_SWAP names, whose contents are lost (in the VM: /dev/zram0),
 * and only for as long as this runs.
 */
#include <sys/swap.h>

#include "cgroup.h"

#define BYTES (64 * MiB)
#define PAGES (BYTES / PAGE)
#define SWAP_BYTES (512 * MiB)
/* The test's own memory is swapped out as well, since it is in the same cgroup. */
#define OWN_BYTES (4 * MiB)

#define PAGE_CLUSTER "/proc/sys/vm/page-cluster"

static const char *swap_device(void)
{
	const char *e = getenv("TRICOLOR_SWAP");

	return e ? e : getenv("TRICOLOR_IN_VM") ? "/dev/zram0" : NULL;
}

/* What mkswap writes: a first page with the version, the last page's number, and the magic. */
static void make_swap(const char *device)
{
	static char page[PAGE];
	uint32_t *header = (uint32_t *)(page + 1024);
	int fd = open(device, O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	memset(page, 0, sizeof(page));
	header[0] = 1;
	header[1] = SWAP_BYTES / PAGE - 1;
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, 0));
	close(fd);
}

FIXTURE(swap)
{
	int fd, collector;
	char *p;
	struct cgroup c;
	bool on;
};

static uint64_t swapped(struct swap_self *self)
{
	return cgroup_get(&self->c, "memory.swap.current", NULL);
}

FIXTURE_SETUP(swap)
{
	const char *device = swap_device();
	char size[32];

	REQUIRE_MODULE();
	REQUIRE_CGROUPS();
	if (!device)
		SKIP(return, "no swap device: set TRICOLOR_SWAP to one whose contents may go");
	if (!strcmp(device, "/dev/zram0") && getenv("TRICOLOR_IN_VM")) {
		snprintf(size, sizeof(size), "%llu", (unsigned long long)SWAP_BYTES);
		write_text("/sys/block/zram0/reset", "1");
		ASSERT_EQ(0, write_text("/sys/block/zram0/disksize", size));
	}
	make_swap(device);
	ASSERT_EQ(0, swapon(device, 0));
	self->on = true;
	self->c = cgroup_new("swap");
	cgroup_enter(&self->c);
	self->fd = new_arena(BYTES, 0, NULL);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
}

FIXTURE_TEARDOWN(swap)
{
	if (!self->on)
		return;
	munmap(self->p, BYTES);
	close(self->fd);
	close(self->collector);
	cgroup_leave();
	/* Before the device goes: swapoff reads everything back that is still there. */
	EXPECT_TRUE(WAIT_FOR(swapped(self) < OWN_BYTES));
	EXPECT_EQ(0, swapoff(swap_device()));
	EXPECT_TRUE(cgroup_remove(&self->c));
}

static void fill(struct swap_self *self)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++)
		fill_page(self->p + i * PAGE, i);
}

/* Ask that most of it be swapped out; returns how much is. */
static uint64_t swap_out(struct swap_self *self)
{
	EXPECT_EQ(0, madvise(self->p, BYTES, MADV_PAGEOUT));
	cgroup_set(&self->c, "memory.reclaim", "48M");
	return swapped(self);
}

TEST_F(swap, contents_survive)
{
	char *q = map(self->collector, BYTES, PROT_READ);
	uint64_t i;

	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	EXPECT_LT(info(self->fd).resident_bytes, BYTES / 2);
	/* The collector reads one half, the owner the other. */
	for (i = 0; i < PAGES / 2; i++)
		ASSERT_TRUE(page_is(q + i * PAGE, i));
	for (i = PAGES / 2; i < PAGES; i++)
		ASSERT_TRUE(page_is(self->p + i * PAGE, i));
}

TEST_F(swap, swapped_pages_are_data)
{
	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	EXPECT_EQ(0, lseek(self->collector, 0, SEEK_DATA));
	EXPECT_EQ(BYTES, lseek(self->collector, 0, SEEK_HOLE));
}

TEST_F(swap, reclaim_frees_swap_too)
{
	uint64_t i;

	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	ASSERT_EQ(0, reclaim(self->collector, 0, BYTES));
	EXPECT_EQ(0, info(self->fd).resident_bytes);
	EXPECT_TRUE(WAIT_FOR(swapped(self) < OWN_BYTES));
	for (i = 0; i < PAGES; i += 5)
		ASSERT_TRUE(page_is_zero(self->p + i * PAGE));
}

/* A collector in another cgroup brings pages in, and does not pay for them. */
TEST_F(swap, the_owner_pays_for_what_comes_back)
{
	struct cgroup b = cgroup_new("other");

	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	EXPECT_EQ(0, IN_CHILD({
		char *q;
		uint64_t i, before;

		cgroup_enter(&b);
		before = cgroup_get(&b, "memory.current", NULL);
		q = map(self->collector, BYTES, PROT_READ);
		for (i = 0; i < PAGES; i++)
			ASSERT_TRUE(page_is(q + i * PAGE, i));
		EXPECT_LT(cgroup_get(&b, "memory.current", NULL), before + 8 * MiB);
	}));
	EXPECT_TRUE(cgroup_remove(&b));
}

/*
 * A page of a cgroup that is full, with nobody in it who could be killed, can't be brought in now.
 * The collector that wants it tries again and again; the page is not gone, and nothing says so.
 */
TEST_F(swap, a_full_cgroup_is_no_hole)
{
	struct cgroup b = cgroup_new("other");
	char cluster[16];
	uint64_t before;
	int status = -1;
	pid_t pid;

	/* Without pages around it: one try meets the limit once. */
	ASSERT_TRUE(read_text(PAGE_CLUSTER, cluster, sizeof(cluster)));
	ASSERT_EQ(0, write_text(PAGE_CLUSTER, "0"));
	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	ASSERT_EQ(0, madvise(self->p, BYTES, MADV_PAGEOUT));
	cgroup_leave();
	ASSERT_EQ(0, cgroup_set(&self->c, "memory.swap.max", "0"));
	ASSERT_EQ(0, cgroup_set(&self->c, "memory.max", "0"));
	before = cgroup_get(&self->c, "memory.events", "oom");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *q;

		cgroup_enter(&b);
		q = map(self->collector, BYTES, PROT_READ);
		_exit(page_is(q, 0) ? 0 : 1);
	}
	EXPECT_TRUE(WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid ||
			     cgroup_get(&self->c, "memory.events", "oom") > before + 4));
	ASSERT_EQ(0, cgroup_set(&self->c, "memory.max", "max"));
	EXPECT_EQ(0, write_text(PAGE_CLUSTER, cluster));
	if (status == -1)
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, cgroup_set(&self->c, "memory.swap.max", "max"));
	EXPECT_TRUE(cgroup_remove(&b));
}

TEST_F(swap, dirty_tracking_loses_nothing)
{
	static uint64_t bits[PAGES / 64];
	uint64_t i, round;

	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	fill(self);
	ASSERT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
	for (round = 1; round <= 3; round++) {
		ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, bits, NULL));
		ASSERT_LT(BYTES / 2, swap_out(self));
		/* Read back, so that pages are clean copies of what is in swap, and write a few. */
		for (i = 0; i < PAGES; i++)
			ASSERT_TRUE(page_is(self->p + i * PAGE, i % 3 ? i : i * round));
		for (i = 0; i < PAGES; i += 3)
			fill_page(self->p + i * PAGE, i * (round + 1));
		ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, bits, NULL));
		for (i = 0; i < PAGES; i += 3)
			ASSERT_TRUE(bits[i / 64] >> (i % 64) & 1);
	}
}

/* A page that was written, swapped out and read again has no dirty bit, and was written. */
TEST_F(swap, dirty_pages_that_came_back)
{
	static uint64_t bits[PAGES / 64];
	char *q = map(self->collector, BYTES, PROT_READ), byte;
	uint64_t i, dirty, missed = 0;

	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	fill(self);
	ASSERT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
	for (i = 0; i < PAGES; i++)
		fill_page(self->p + i * PAGE, i + 1);
	ASSERT_LT(BYTES / 2, swap_out(self));
	/* By the owner, by the collector, and by the kernel before anybody maps it. */
	for (i = 0; i < PAGES; i++) {
		if (i % 3 == 2)
			ASSERT_EQ(1, pread(self->collector, &byte, 1, (off_t)(i * PAGE)));
		ASSERT_TRUE(page_is((i % 3 ? q : self->p) + i * PAGE, i + 1));
	}
	ASSERT_GT(OWN_BYTES, swapped(self));
	ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, bits, &dirty));
	for (i = 0; i < PAGES; i++)
		missed += !(bits[i / 64] >> (i % 64) & 1);
	EXPECT_EQ(0, missed);
	EXPECT_EQ(PAGES, dirty);
	/* Told once. */
	ASSERT_EQ(0, dirty_call(self->collector, 0, 0, BYTES, bits, &dirty));
	EXPECT_EQ(0, dirty);
}

/* The owner dies while most of its memory is in swap. */
TEST_F(swap, orphan)
{
	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	munmap(self->p, BYTES);
	close(self->fd);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
	EXPECT_TRUE(WAIT_FOR(swapped(self) < OWN_BYTES));
	EXPECT_EQ(0, info(self->collector).resident_bytes);
}

/* swapoff brings everything back, while it is used. */
TEST_F(swap, swapoff_under_load)
{
	uint64_t i, seed = test_seed();
	pid_t pid;

	fill(self);
	ASSERT_LT(BYTES / 2, swap_out(self));
	pid = fork();
	if (!pid)
		_exit(swapoff(swap_device()) ? 1 : 0);
	while (!waitpid(pid, NULL, WNOHANG)) {
		i = draw_below(&seed, PAGES);
		ASSERT_TRUE(page_is(self->p + i * PAGE, i));
		i = draw_below(&seed, PAGES / 2);
		ASSERT_EQ(0, reclaim(self->collector, i * PAGE, PAGE));
		fill_page(self->p + i * PAGE, i);
	}
	for (i = 0; i < PAGES; i++)
		ASSERT_TRUE(page_is(self->p + i * PAGE, i));
	ASSERT_EQ(0, swapon(swap_device(), 0));
}

TEST_HARNESS_MAIN
