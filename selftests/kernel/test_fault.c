// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fault.c - every allocation of every call fails once
 *
 * Needs a kernel with fault injection (selftests/vm/debug-kernel.sh).  For each call, the first
 * allocation within it is made to fail, then the second, and so on until it gets through without
 * meeting a failure: /proc/thread-self/fail-nth.  A call that fails must say why, with an error
 * that it documents, and leave nothing behind, which the VM's process 1 looks at; one that succeeds
 * in spite of it must have done its work.
 */
#include "cgroup.h"

#define BYTES (4 * MiB)
#define MOST 400			/* allocations that a call could possibly make */

#define FAILSLAB "/sys/kernel/debug/failslab/"
#define FAILPAGE "/sys/kernel/debug/fail_page_alloc/"

FIXTURE(fault)
{
	int nth;			/* /proc/thread-self/fail-nth */
	int fd, collector;
	uint32_t id;
	char *p;
};

FIXTURE_SETUP(fault)
{
	REQUIRE_MODULE();
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0 || write_text(FAILSLAB "ignore-gfp-wait", "N"))
		SKIP(return, "a kernel without fault injection");
	write_text(FAILSLAB "verbose", "0");
	write_text(FAILPAGE "ignore-gfp-wait", "N");
	write_text(FAILPAGE "ignore-gfp-highmem", "N");
	write_text(FAILPAGE "min-order", "0");
	write_text(FAILPAGE "verbose", "0");
	self->fd = new_arena(BYTES, 0, &self->id);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
}

FIXTURE_TEARDOWN(fault)
{
}

struct failures {
	int n;				/* the allocation that fails in this round */
	int met;			/* rounds so far in which there was one */
	bool failed;			/* in the last */
};

/* Another round: the next allocation but n fails, from here to met(). */
static bool next_failure(struct fault_self *self, struct failures *f)
{
	char text[16];

	if (f->n && !f->failed) {
		TH_LOG("%d allocations", f->met);
		return false;
	}
	ASSERT_LT(f->n, MOST);
	snprintf(text, sizeof(text), "%d", ++f->n);
	ASSERT_EQ((ssize_t)strlen(text), pwrite(self->nth, text, strlen(text), 0));
	return true;
}

/*
 * The round's call has ended with @err: 0, or for lack of memory, or as @other says for the same.
 */
static bool met(struct fault_self *self, struct failures *f, int err, int other)
{
	char text[16] = "";
	bool fits;

	ASSERT_LT(0, pread(self->nth, text, sizeof(text) - 1, 0));
	ASSERT_EQ(1, pwrite(self->nth, "0", 1, 0));
	f->failed = atoi(text) == 0;
	f->met += f->failed;
	fits = !err || (f->failed && (err == -ENOMEM || err == other));
	if (!fits)
		TH_LOG("allocation %d%s: %d", f->n, f->failed ? "" : " (none)", err);
	EXPECT_TRUE(fits);
	return !err;
}

TEST_F(fault, open)
{
	struct failures f = { 0 };
	int fd;

	while (next_failure(self, &f)) {
		fd = open(DEV, O_RDWR | O_CLOEXEC);
		if (met(self, &f, fd < 0 ? -errno : 0, -ENFILE))
			close(fd);
	}
	EXPECT_LT(0, f.met);
}

static void create_with(struct fault_self *self, uint32_t flags)
{
	struct failures f = { 0 };
	int fd, err;

	for (fd = open_dev(); next_failure(self, &f); fd = open_dev()) {
		err = create(fd, BYTES, flags, NULL);
		/* A second try finds nothing of the first. */
		if (!met(self, &f, err, -ENFILE))
			EXPECT_EQ(0, create(fd, BYTES, flags, NULL));
		close(fd);
	}
	close(fd);
	EXPECT_LT(0, f.met);
}

TEST_F(fault, create)
{
	create_with(self, 0);
}

TEST_F(fault, create_huge)
{
	if (!has_feature(TRICOLOR_FEATURE_HUGE))
		SKIP(return, "no 2 MiB pages on this kernel");
	create_with(self, TRICOLOR_CREATE_HUGE);
}

TEST_F(fault, collector)
{
	struct failures f = { 0 };

	while (next_failure(self, &f)) {
		struct tricolor_collector c = { .size = sizeof(c), .fd = -1 };
		int err = call(self->fd, TRICOLOR_IOC_COLLECTOR, &c);

		if (met(self, &f, err, -ENFILE))
			close(c.fd);
		EXPECT_EQ(1, info(self->fd).collectors);
	}
	EXPECT_LT(0, f.met);
}

TEST_F(fault, mmap)
{
	int fds[] = { self->fd, self->collector }, i;

	for (i = 0; i < 2; i++) {
		struct failures f = { 0 };
		char *p;

		while (next_failure(self, &f)) {
			p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
			if (met(self, &f, p == MAP_FAILED ? -errno : 0, 0))
				munmap(p, BYTES);
		}
		EXPECT_LT(0, f.met);
	}
	/* No mapping was counted that is not there. */
	munmap(self->p, BYTES);
	close(self->fd);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

/* A part is unmapped from the middle: the mapping is split, which may fail half-way. */
TEST_F(fault, split)
{
	struct failures f = { 0 };

	while (next_failure(self, &f)) {
		met(self, &f, munmap(self->p + BYTES / 2, PAGE) ? -errno : 0, 0);
		munmap(self->p, BYTES);
		self->p = map_rw(self->fd, BYTES);
	}
	munmap(self->p, BYTES);
	close(self->fd);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

TEST_F(fault, reclaim)
{
	struct failures f = { 0 };

	do {
		memset(self->p, 1, BYTES);
	} while (next_failure(self, &f) && (met(self, &f, reclaim(self->fd, 0, BYTES), 0), true));
}

TEST_F(fault, dirty)
{
	static const uint32_t flags[] = { TRICOLOR_DIRTY_START, 0 };
	uint64_t bits[BYTES / PAGE / 64];
	int i;

	memset(self->p, 1, BYTES);
	for (i = 0; i < 2; i++) {
		struct failures f = { 0 };

		while (next_failure(self, &f))
			met(self, &f, dirty_call(self->fd, flags[i], 0, BYTES,
						 flags[i] ? NULL : bits, NULL), 0);
		EXPECT_LT(0, f.met);
	}
}

TEST_F(fault, tunables)
{
	struct failures f = { 0 };
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/gc_percent", self->id);
	while (next_failure(self, &f))
		met(self, &f, write_text(path, "50"), 0);
}

TEST_HARNESS_MAIN
