// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mmap.c - mappings of owners and collectors, and what else can be done to them
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "arena.h"
#include "withheld.h"

#define BYTES (8 * MiB)
/* Of what a core dump is made: mapped, and written. */
#define SPARSE (256 * MiB)
#define FULL (8 * HUGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

FIXTURE(mapping)
{
	int fd, collector;
	char *p;			/* the owner's */
};

FIXTURE_VARIANT(mapping)
{
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(mapping, small) { .flags = 0 };
FIXTURE_VARIANT_ADD(mapping, huge) { .flags = TRICOLOR_CREATE_HUGE };

FIXTURE_SETUP(mapping)
{
	REQUIRE_MODULE();
	if (variant->flags && !has_feature(TRICOLOR_FEATURE_HUGE))
		SKIP(return, "no 2 MiB pages on this kernel");
	self->fd = new_arena(BYTES, variant->flags, NULL);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
}

FIXTURE_TEARDOWN(mapping)
{
}

static sigjmp_buf fault_return;
static volatile int fault_signal;

static void on_fault(int sig)
{
	fault_signal = sig;
	siglongjmp(fault_return, 1);
}

/* The signal that an access brings, or 0. */
static int fault_of(volatile char *p, bool write)
{
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	fault_signal = 0;
	if (!sigsetjmp(fault_return, 1)) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return fault_signal;
}

TEST_F(mapping, fresh_memory_is_zero_and_keeps_what_is_written)
{
	uint64_t i;

	for (i = 0; i < BYTES / PAGE; i++)
		EXPECT_TRUE(page_is_zero(self->p + i * PAGE));
	for (i = 0; i < BYTES / PAGE; i++)
		fill_page(self->p + i * PAGE, i);
	for (i = 0; i < BYTES / PAGE; i++)
		EXPECT_TRUE(page_is(self->p + i * PAGE, i));
	EXPECT_EQ(BYTES, info(self->fd).resident_bytes);
}

TEST_F(mapping, both_see_the_same)
{
	char *q = map_rw(self->collector, BYTES);
	uint64_t i;

	for (i = 0; i < BYTES / PAGE; i++)
		fill_page(self->p + i * PAGE, i);
	for (i = 0; i < BYTES / PAGE; i++)
		EXPECT_TRUE(page_is(q + i * PAGE, i));
	/* A collector writes mark bits. */
	fill_page(q + 3 * PAGE, 99);
	EXPECT_TRUE(page_is(self->p + 3 * PAGE, 99));
}

TEST_F(mapping, a_collector_allocates_nothing)
{
	char *q = map_rw(self->collector, BYTES), *buffer;
	uint64_t unit = variant->flags ? HUGE : PAGE, pages = BYTES / unit, i;
	int null = open("/dev/zero", O_RDONLY), sink[2];

	ASSERT_EQ(0, pipe(sink));
	self->p[unit] = 1;
	EXPECT_EQ(unit, info(self->fd).resident_bytes);
	for (i = 0; i < pages; i++) {
		EXPECT_EQ(i == 1 ? 0 : SIGBUS, fault_of(q + i * unit, false));
		EXPECT_EQ(i == 1 ? 0 : SIGBUS, fault_of(q + i * unit, true));
	}
	/* In system calls, in both directions. */
	EXPECT_EQ(-1, write(sink[1], q, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(null, q, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, write(sink[1], q + unit, 1));
	/* By prefaulting. */
	EXPECT_EQ(-1, madvise(q, BYTES, MADV_POPULATE_READ));
	EXPECT_EQ(-1, madvise(q, BYTES, MADV_POPULATE_WRITE));
	EXPECT_EQ(0, madvise(q, BYTES, MADV_WILLNEED) && errno != EINVAL);
	munmap(q, BYTES);
	q = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		 self->collector, 0);
	if (q != MAP_FAILED)
		munmap(q, BYTES);
	q = map_rw(self->collector, BYTES);
	mlock(q, BYTES);
	/* By reading. */
	buffer = malloc(BYTES);
	ASSERT_NE(NULL, buffer);
	memset(buffer, 0xff, BYTES);
	EXPECT_EQ(BYTES, pread(self->collector, buffer, BYTES, 0));
	EXPECT_TRUE(page_is_zero(buffer));
	EXPECT_EQ(1, buffer[unit]);
	EXPECT_TRUE(page_is_zero(buffer + BYTES - PAGE));
	EXPECT_EQ(unit, info(self->fd).resident_bytes);
}

TEST_F(mapping, holes_can_be_found)
{
	uint64_t unit = variant->flags ? HUGE : PAGE;

	self->p[unit] = 1;
	EXPECT_EQ(unit, lseek(self->collector, 0, SEEK_DATA));
	EXPECT_EQ(2 * unit, lseek(self->collector, (off_t)unit, SEEK_HOLE));
	EXPECT_EQ(0, lseek(self->collector, 0, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(self->collector, 2 * (off_t)unit, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(mapping, huge_pages_are_huge)
{
	if (!variant->flags)
		return;
	self->p[0] = 1;
	EXPECT_EQ(HUGE, info(self->fd).resident_bytes);
	EXPECT_EQ(0, (uintptr_t)self->p % HUGE);
}

TEST_F(mapping, a_child_does_not_have_it)
{
	EXPECT_EQ(0, fault_of(self->p, true));
	EXPECT_EQ(0, IN_CHILD(EXPECT_EQ(SIGSEGV, fault_of(self->p, false))));
	/*
	 * That can't be undone by the program: neither with a collector's mapping nor the owner's.
	 */
	if (!madvise(self->p, BYTES, MADV_DOFORK))
		TH_LOG("MADV_DOFORK is allowed: a child then shares the memory");
	EXPECT_EQ(0, IN_CHILD({
		int sig = fault_of(self->p, false);

		EXPECT_TRUE(sig == SIGSEGV || sig == 0);
	}));
	EXPECT_EQ(1, self->p[0]);
}

TEST_F(mapping, private_and_executable)
{
	char *q = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0);

	EXPECT_EQ(MAP_FAILED, q);
	q = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, self->collector, 0);
	EXPECT_EQ(MAP_FAILED, q);
	EXPECT_EQ(-1, mprotect(self->p, BYTES, PROT_READ | PROT_EXEC));
}

TEST_F(mapping, beyond_the_end)
{
	char *q;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES + PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, BYTES));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->fd, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
				   (off_t)((1ull << 63) - PAGE)));
	/* The last page is there. */
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, BYTES - PAGE);
	ASSERT_NE(MAP_FAILED, q);
	*q = 5;
	EXPECT_EQ(5, self->p[BYTES - PAGE]);
}

/* A mapping may be moved; one that was made longer leads beyond the arena, and to no memory. */
TEST_F(mapping, mremap)
{
	char *q, *r;

	fill_page(self->p, 1);
	q = mremap(self->p, BYTES, 2 * BYTES, MREMAP_MAYMOVE);
	if (q == MAP_FAILED) {
		q = mremap(self->p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			   mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		ASSERT_NE(MAP_FAILED, q);
	} else {
		EXPECT_EQ(SIGBUS, fault_of(q + BYTES, false));
		EXPECT_EQ(SIGBUS, fault_of(q + 2 * BYTES - 1, true));
	}
	EXPECT_TRUE(page_is(q, 1));
	munmap(q + BYTES, BYTES);
	q = mremap(q, BYTES, PAGE, 0);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_TRUE(page_is(q, 1));
	/* Old length 0 makes a second mapping of a shared one. */
	r = mremap(q, 0, PAGE, MREMAP_MAYMOVE);
	if (r != MAP_FAILED) {
		EXPECT_TRUE(page_is(r, 1));
		munmap(q, PAGE);
		EXPECT_TRUE(page_is(r, 1));
		close(self->fd);
		EXPECT_EQ(0, info(self->collector).state);
		munmap(r, PAGE);
		EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
	}
}

/* A collector's mapping stays one, in parts, moved and doubled. */
TEST_F(mapping, mremap_of_a_collector)
{
	char *q = map_rw(self->collector, BYTES), *r;

	self->p[0] = 1;
	r = mremap(q, 0, BYTES, MREMAP_MAYMOVE);
	if (r != MAP_FAILED) {
		EXPECT_EQ(0, fault_of(r, false));
		EXPECT_EQ(SIGBUS, fault_of(r + BYTES - PAGE, true));
	}
	ASSERT_EQ(0, munmap(q + BYTES / 2, PAGE));
	EXPECT_EQ(SIGBUS, fault_of(q + BYTES - PAGE, true));
	r = mremap(q, BYTES / 2, BYTES, MREMAP_MAYMOVE);
	if (r != MAP_FAILED)
		EXPECT_EQ(SIGBUS, fault_of(r + BYTES - PAGE, true));
	EXPECT_EQ(variant->flags ? HUGE : PAGE, info(self->fd).resident_bytes);
}

/* Root can open what is mapped by another door: /proc/PID/map_files, and /proc/PID/fd. */
TEST_F(mapping, map_files)
{
	char path[96], byte = 0;
	char *q = map_rw(self->collector, BYTES);
	int side, fd, opened = 0;

	for (side = 0; side < 2; side++) {
		char *m = side ? q : self->p;

		self->p[0] = 42;
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%llx", (unsigned long)m,
			 (unsigned long)m + BYTES);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			TH_LOG("%s: %s", path, strerror(errno));
			continue;
		}
		opened++;
		/* Whatever it can do: the memory is accounted, and gone with the arena. */
		if (pread(fd, &byte, 1, 0) == 1)
			EXPECT_EQ(42, byte);
		m = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (m != MAP_FAILED) {
			fault_of(m + BYTES - PAGE, true);
			munmap(m, BYTES);
		}
		EXPECT_EQ(-1, ftruncate(fd, 0));
		EXPECT_EQ(-1, ftruncate(fd, 4 * (off_t)BYTES));
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
		close(fd);
	}
	EXPECT_EQ(BYTES, info(self->fd).bytes);
	EXPECT_EQ(0, reclaim(self->fd, 0, BYTES));
	EXPECT_EQ(0, info(self->fd).resident_bytes);
	TH_LOG("%d of 2 could be opened", opened);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		/* The device again, and so a descriptor without an arena. */
		EXPECT_EQ(0, create(fd, PAGE, 0, NULL));
}

/* Held open by map_files alone, an arena whose owner is gone has no memory. */
TEST_F(mapping, map_files_after_the_end)
{
	char path[96], byte = 1;
	int fd;
	char *q;

	memset(self->p, 1, BYTES);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%llx", (unsigned long)self->p,
		 (unsigned long)self->p + BYTES);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "map_files can't be opened here: %s", strerror(errno));
	munmap(self->p, BYTES);
	close(self->fd);
	q = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (info(self->collector).state & TRICOLOR_STATE_ORPHAN) {
		EXPECT_EQ(0, info(self->collector).resident_bytes);
		EXPECT_FALSE(pread(fd, &byte, 1, 0) == 1 && byte);
		if (q != MAP_FAILED)
			fault_of(q, true);
		EXPECT_EQ(0, info(self->collector).resident_bytes);
	}
	if (q != MAP_FAILED)
		munmap(q, BYTES);
	close(fd);
	EXPECT_TRUE(info(self->collector).state & TRICOLOR_STATE_ORPHAN);
	EXPECT_EQ(0, info(self->collector).resident_bytes);
}

/* What a program may say about its memory keeps working as far as the kernel lets it. */
TEST_F(mapping, madvise)
{
	uint64_t i;

	for (i = 0; i < BYTES / PAGE; i++)
		fill_page(self->p + i * PAGE, i);
	/* Only drops the page tables' entries: the memory is shared. */
	EXPECT_EQ(0, madvise(self->p, BYTES, MADV_DONTNEED));
	for (i = 0; i < BYTES / PAGE; i++)
		EXPECT_TRUE(page_is(self->p + i * PAGE, i));
	EXPECT_EQ(-1, madvise(self->p, BYTES, MADV_FREE));
	EXPECT_EQ(0, madvise(self->p, HUGE, MADV_REMOVE));
	for (i = 0; i < HUGE / PAGE; i++)
		EXPECT_TRUE(page_is_zero(self->p + i * PAGE));
	EXPECT_TRUE(page_is(self->p + HUGE, HUGE / PAGE));
	EXPECT_EQ(0, madvise(self->p, BYTES, MADV_PAGEOUT));
	EXPECT_TRUE(page_is(self->p + HUGE, HUGE / PAGE));
}

/* A mapping where a huge page would fit. */
static char *map_aligned(int fd)
{
	char *p = mmap(NULL, BYTES + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	ASSERT_EQ(p, mmap(p, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	return p;
}

/* Whoever asks for it: a collector fills no holes, and small pages stay small. */
TEST_F(mapping, collapse)
{
	char *p = map_aligned(self->fd), *q = map_aligned(self->collector);
	uint64_t i;

	for (i = 0; i < HUGE / PAGE; i++)
		fill_page(p + i * PAGE, i);
	/* The owner's may be collapsed, in an arena of huge pages; but not by khugepaged, now. */
	EXPECT_EQ(0, madvise(self->p, BYTES, MADV_NOHUGEPAGE));
	EXPECT_EQ(0, madvise(p, BYTES, MADV_NOHUGEPAGE));
	/*
	 * Cutting a huge page fails while somebody else holds it: a CPU's list of new pages does.
	 */
	ASSERT_TRUE(WAIT_FOR(!write_text("/proc/sys/vm/drop_caches", "1") &&
			     !reclaim(self->fd, 8 * PAGE, PAGE) &&
			     info(self->fd).resident_bytes == HUGE - PAGE));
	for (i = 0; i < HUGE / PAGE; i++)
		if (i != 8)
			EXPECT_EQ(0, fault_of(q + i * PAGE, false));
	EXPECT_EQ(-1, madvise(q, HUGE, MADV_COLLAPSE));
	EXPECT_EQ(HUGE - PAGE, info(self->fd).resident_bytes);
	EXPECT_EQ(SIGBUS, fault_of(q + 8 * PAGE, false));
	if (variant->flags)
		return;
	EXPECT_EQ(0, madvise(p, HUGE, MADV_HUGEPAGE));
	EXPECT_EQ(-1, madvise(p, HUGE, MADV_COLLAPSE));
	EXPECT_EQ(HUGE - PAGE, info(self->fd).resident_bytes);
	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		return;
	/* The kernel would warn of written huge pages here, and the log is looked at. */
	fill_page(p, 1);
	EXPECT_EQ(0, dirty_call(self->collector, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
}

/*
 * The arena's file can't be mapped past the module: remap_file_pages(), for any user, would make a
 * mapping of shmem's.  It is refused, and what was mapped stays what it is.
 */
TEST_F(mapping, remap_file_pages)
{
	EXPECT_EQ(0, IN_CHILD({
		int fd, collector;
		char *p, *q;

		become_nobody();
		fd = new_arena(BYTES, variant->flags, NULL);
		collector = new_collector(fd);
		p = map_aligned(fd);
		q = map_aligned(collector);
		fill_page(p, 1);
		EXPECT_EQ(-1, remap_file_pages(p, BYTES, 0, 0, 0));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(-1, remap_file_pages(p, PAGE, 0, 1, MAP_NONBLOCK));
		EXPECT_EQ(-1, remap_file_pages(q, BYTES, 0, 0, 0));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(-1, remap_file_pages(q + HUGE, PAGE, 0, 1, MAP_NONBLOCK));
		/* Whether it was refused or not: no page more, and the mappings are ours. */
		EXPECT_EQ(variant->flags ? HUGE : PAGE, info(fd).resident_bytes);
		EXPECT_TRUE(page_is(p, 1));
		EXPECT_TRUE(page_is(q, 1));
		EXPECT_EQ(SIGBUS, fault_of(q + HUGE, false));
		EXPECT_EQ(-1, mprotect(p, BYTES, PROT_READ | PROT_EXEC));
		EXPECT_EQ(-1, mprotect(q, BYTES, PROT_READ | PROT_EXEC));
		EXPECT_EQ(0, IN_CHILD({
			EXPECT_EQ(SIGSEGV, fault_of(p, false));
			EXPECT_EQ(SIGSEGV, fault_of(q, false));
		}));
		EXPECT_EQ(-1, madvise(q, HUGE, MADV_COLLAPSE));
		if (!variant->flags) {
			EXPECT_EQ(-1, madvise(p, HUGE, MADV_COLLAPSE));
			/* The kernel warns of written huge pages here. */
			fill_page(p, 1);
			if (has_feature(TRICOLOR_FEATURE_DIRTY)) {
				uint64_t bitmap[BYTES / PAGE / 64] = { 0 };

				EXPECT_EQ(0, dirty_call(collector, TRICOLOR_DIRTY_START, 0, BYTES,
							NULL, NULL));
				fill_page(p, 2);
				EXPECT_EQ(0, dirty_call(collector, 0, 0, BYTES, bitmap, NULL));
				EXPECT_EQ(1, bitmap[0]);
			}
		}
		/* It is counted: closing the descriptor leaves the owner's mapping. */
		close(fd);
		EXPECT_EQ(0, info(collector).state & TRICOLOR_STATE_ORPHAN);
		munmap(p, BYTES);
		EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(collector).state & TRICOLOR_STATE_ORPHAN);
	}));
}

/*
 * What is mapped stays sparse, whatever is said about all of memory: before, after, while mapping.
 */
TEST_F(mapping, nothing_fills_a_sparse_arena)
{
	uint64_t unit = variant->flags ? HUGE : PAGE;
	char *q = map_rw(self->collector, BYTES), *later;

	self->p[0] = 1;
	later = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, later);
	EXPECT_EQ(unit, info(self->fd).resident_bytes);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	later = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, later);
	EXPECT_EQ(unit, info(self->fd).resident_bytes);
	later = map_rw(self->collector, BYTES);
	EXPECT_EQ(unit, info(self->fd).resident_bytes);
	/* What was mapped before; 2 MiB pages can be locked, and are there then. */
	if (!variant->flags) {
		ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
		EXPECT_EQ(unit, info(self->fd).resident_bytes);
		ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_ONFAULT));
		EXPECT_EQ(unit, info(self->fd).resident_bytes);
		EXPECT_EQ(0, mlock2(self->p, BYTES, MLOCK_ONFAULT));
		EXPECT_EQ(0, mlock(self->p, BYTES));
		EXPECT_EQ(unit, info(self->fd).resident_bytes);
	}
	ASSERT_EQ(0, munlockall());
	EXPECT_EQ(SIGBUS, fault_of(q + unit, false));
	EXPECT_EQ(SIGBUS, fault_of(later + unit, false));
	EXPECT_EQ(0, fault_of(self->p + unit, true));
	EXPECT_EQ(2 * unit, info(self->fd).resident_bytes);
}

/* A core dump holds nothing of an arena, and fills none of its holes. */
TEST_F(mapping, core_dump)
{
	char pattern[256], folder[] = "/tmp/tricolor-core-XXXXXX", path[80];
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;
	pid_t pid;

	if (!read_text("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)))
		SKIP(return, "no core dumps here");
	ASSERT_NE(NULL, mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/core.%%p", folder);
	if (write_text("/proc/sys/kernel/core_pattern", path))
		SKIP(return, "core_pattern can't be set here");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = new_arena(SPARSE, variant->flags, NULL);

		memset(map_rw(fd, SPARSE), 1, FULL);
		map_rw(new_collector(fd), SPARSE);
		setrlimit(RLIMIT_CORE, &unlimited);
		write_text("/proc/self/coredump_filter", "0xff");
		abort();
	}
	EXPECT_EQ(128 + SIGABRT, wait_child(pid));
	write_text("/proc/sys/kernel/core_pattern", pattern);
	snprintf(path, sizeof(path), "%s/core.%d", folder, pid);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_LT(0, st.st_size);
	EXPECT_GT(FULL, st.st_size);
	unlink(path);
	rmdir(folder);
}

/* Another process reads and writes through the kernel, as debuggers do. */
TEST_F(mapping, foreign_access)
{
	char *q = map_rw(self->collector, BYTES), byte = 0;
	struct iovec here = { &byte, 1 }, there = { self->p, 1 };

	self->p[0] = 77;
	EXPECT_EQ(0, IN_CHILD({
		EXPECT_EQ(1, process_vm_readv(getppid(), &here, 1, &there, 1, 0));
		EXPECT_EQ(77, byte);
		/* A hole of a collector's mapping gives an error, and no page. */
		there.iov_base = q + HUGE;
		EXPECT_EQ(-1, process_vm_readv(getppid(), &here, 1, &there, 1, 0));
		EXPECT_EQ(-1, process_vm_writev(getppid(), &here, 1, &there, 1, 0));
	}));
	EXPECT_EQ(variant->flags ? HUGE : PAGE, info(self->fd).resident_bytes);
}

/*
 * Mappings that touch, of neighbouring parts: the kernel would like to make them one, and then the
 * owner's would not be counted, or be a collector's.
 */
TEST_F(mapping, neighbours)
{
	uint64_t half = BYTES / 2;
	int lower, upper, fd[2] = { self->fd, self->collector };
	char *q;

	for (lower = 0; lower < 2; lower++) {
		for (upper = 0; upper < 2; upper++) {
			q = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			ASSERT_NE(MAP_FAILED, q);
			ASSERT_NE(MAP_FAILED, mmap(q, half, PROT_READ | PROT_WRITE,
						   MAP_SHARED | MAP_FIXED, fd[lower], 0));
			ASSERT_NE(MAP_FAILED, mmap(q + half, half, PROT_READ | PROT_WRITE,
						   MAP_SHARED | MAP_FIXED, fd[upper], (off_t)half));
			/* A page that nobody has touched yet. */
			if (!upper)
				EXPECT_EQ(0, fault_of(q + half + lower * HUGE, true));
			munmap(q, half);
			munmap(q + half, half);
		}
	}
	munmap(self->p, BYTES);
	EXPECT_EQ(0, info(self->collector).state);
	close(self->fd);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

struct writer {
	int fd;
	char *from;
};

static void *write_byte(void *arg)
{
	struct writer *w = arg;

	return (void *)(intptr_t)pwrite(w->fd, w->from, 1, 0);
}

/*
 * Somebody writes into the file, by the door that root has, and is stopped in the middle: with the
 * inode's lock.  A collector that looks for holes does not wait for that.
 */
TEST_F(mapping, seeking_waits_for_nobody)
{
	struct pollfd wanted = { .events = POLLIN };
	struct writer w;
	char path[96];
	pthread_t t;
	pid_t pid;
	int status = -1;

	self->p[HUGE] = 1;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%llx", (unsigned long)self->p,
		 (unsigned long)self->p + BYTES);
	w.fd = open(path, O_RDWR | O_CLOEXEC);
	if (w.fd < 0)
		SKIP(return, "map_files can't be opened here: %s", strerror(errno));
	w.from = withheld_page(&wanted.fd);
	if (!w.from)
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	ASSERT_EQ(0, pthread_create(&t, NULL, write_byte, &w));
	ASSERT_EQ(1, poll(&wanted, 1, 20000));
	pid = fork();
	if (!pid) {
		off_t data = lseek(self->collector, 0, SEEK_DATA);
		off_t hole = lseek(self->collector, 0, SEEK_HOLE);

		/* Linux 7.3 may have made the page, as zeros, before it waits for contents. */
		_exit((data == HUGE && !hole) || (!data && hole > 0) ? 0 : 1);
	}
	EXPECT_TRUE(WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid));
	give_page(wanted.fd, w.from);
	pthread_join(t, NULL);
	close(w.fd);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, lseek(self->collector, 0, SEEK_DATA));
}

/* Many mappings of parts, in any order, and what is left when they are gone. */
TEST_F(mapping, parts)
{
	uint64_t seed = test_seed(), offset, length;
	char *parts[64] = { 0 };
	uint64_t lengths[64];
	int round, slot, fd;

	for (round = 0; round < 2000; round++) {
		slot = (int)draw_below(&seed, 64);
		if (parts[slot]) {
			munmap(parts[slot], lengths[slot]);
			parts[slot] = NULL;
			continue;
		}
		offset = draw_below(&seed, BYTES / PAGE) * PAGE;
		length = (draw_below(&seed, (BYTES - offset) / PAGE) + 1) * PAGE;
		fd = draw_below(&seed, 2) ? self->fd : self->collector;
		parts[slot] = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				   (off_t)offset);
		ASSERT_NE(MAP_FAILED, parts[slot]);
		lengths[slot] = length;
		fault_of(parts[slot] + draw_below(&seed, length), draw_below(&seed, 2));
	}
	for (slot = 0; slot < 64; slot++)
		if (parts[slot])
			munmap(parts[slot], lengths[slot]);
	munmap(self->p, BYTES);
	EXPECT_EQ(0, info(self->collector).state);
	close(self->fd);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

TEST_HARNESS_MAIN
