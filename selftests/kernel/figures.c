// SPDX-License-Identifier: GPL-2.0-only
/*
 * figures.c - what the module costs, beside a memfd and what else there is
 *
 * No test: it prints figures, and no time makes it fail.  In an emulator only ratios mean anything.
 * Each figure is the least of several rounds.
 */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "arena.h"

#define BYTES (64 * MiB)
#define PAGES (BYTES / PAGE)
#define ROUNDS 7
#define VECTOR 64

static void touch(char *p, uint64_t bytes)
{
	uint64_t at;

	for (at = 0; at < bytes; at += PAGE)
		*(volatile char *)(p + at) = 1;
}

/*
 * What is compared is run in turns, a round of each after the other: the machine's other load then
 * is in all of them or in none.
 */
#define EACH_ROUND for (int round_ = 0; round_ < ROUNDS; round_++)

/* @least becomes the least time that @what took; 0: none yet. */
#define TAKE(least, what) do {							\
	uint64_t begin_ = now_ns(), took_;					\
	what;									\
	took_ = now_ns() - begin_;						\
	if (!(least) || took_ < (least))					\
		(least) = took_;						\
} while (0)

struct memory {
	int fd;
	char *p;
};

static struct memory memfd(void)
{
	struct memory m = { .fd = memfd_create("figures", 0) };

	ASSERT_EQ(0, ftruncate(m.fd, BYTES));
	m.p = map_rw(m.fd, BYTES);
	return m;
}

static struct memory device(uint32_t flags)
{
	struct memory m = { .fd = new_arena(BYTES, flags, NULL) };

	m.p = map_rw(m.fd, BYTES);
	return m;
}

static void empty(struct memory m)
{
	ASSERT_EQ(0, madvise(m.p, BYTES, MADV_REMOVE));
}

static void faults(void)
{
	struct memory a = memfd(), b = device(0), c = device(TRICOLOR_CREATE_HUGE);
	uint64_t memfd_ns = 0, dev_ns = 0, huge_ns = 0;

	EACH_ROUND {
		empty(a);
		TAKE(memfd_ns, touch(a.p, BYTES));
		empty(b);
		TAKE(dev_ns, touch(b.p, BYTES));
		empty(c);
		TAKE(huge_ns, touch(c.p, BYTES));
	}
	ksft_print_msg("write fault: memfd %llu ns a page, device %llu (%.2f times), with 2 MiB pages %llu\n",
		       (unsigned long long)memfd_ns / PAGES, (unsigned long long)dev_ns / PAGES,
		       (double)dev_ns / (double)memfd_ns, (unsigned long long)huge_ns / PAGES);
}

/* Every second run of @pages pages is freed, PAGES / 2 pages in all. */
static void reclaim_each(struct memory m, uint64_t pages)
{
	uint64_t at;

	for (at = 0; at < PAGES; at += 2 * pages)
		ASSERT_EQ(0, madvise(m.p + at * PAGE, pages * PAGE, MADV_REMOVE));
}

static void reclaim_vector(struct memory m, uint64_t pages)
{
	struct tricolor_range r[VECTOR];
	uint32_t n = 0;
	uint64_t at;

	for (at = 0; at < PAGES; at += 2 * pages) {
		r[n++] = (struct tricolor_range){ .offset = at * PAGE, .length = pages * PAGE };
		if (n == VECTOR || at + 2 * pages >= PAGES) {
			ASSERT_EQ(0, reclaim_ranges(m.fd, r, n, NULL));
			n = 0;
		}
	}
}

static void reclaims(void)
{
	struct memory a = memfd(), b = device(0);
	uint64_t pages;

	for (pages = 1; pages <= 64; pages *= pages < 4 ? 2 : 4) {
		double ranges = (double)PAGES / 2 / (double)pages * 1e9;
		uint64_t memfd_ns = 0, each_ns = 0, vector_ns = 0;

		EACH_ROUND {
			touch(a.p, BYTES);
			TAKE(memfd_ns, reclaim_each(a, pages));
			touch(b.p, BYTES);
			TAKE(each_ns, reclaim_each(b, pages));
			touch(b.p, BYTES);
			TAKE(vector_ns, reclaim_vector(b, pages));
		}
		ksft_print_msg("reclaim of %2llu pages: %.0f ranges/s by madvise on a memfd, %.0f on the "
			       "device, %.0f by vector (%.2f times)\n", (unsigned long long)pages,
			       ranges / (double)memfd_ns, ranges / (double)each_ns,
			       ranges / (double)vector_ns, (double)each_ns / (double)vector_ns);
	}
}

#define LARGE_BYTES (1024 * MiB)

/* Of an arena and of all its memory. */
static void end(int fd, char *p)
{
	close(fd);
	ASSERT_EQ(0, munmap(p, LARGE_BYTES));
}

static void ends(void)
{
	uint64_t memfd_ns = 0, dev_ns = 0;
	int round, fd;
	char *p;

	for (round = 0; round < 3; round++) {
		fd = memfd_create("figures", 0);
		ASSERT_EQ(0, ftruncate(fd, LARGE_BYTES));
		p = map_rw(fd, LARGE_BYTES);
		touch(p, LARGE_BYTES);
		TAKE(memfd_ns, end(fd, p));
		fd = new_arena(LARGE_BYTES, 0, NULL);
		p = map_rw(fd, LARGE_BYTES);
		touch(p, LARGE_BYTES);
		TAKE(dev_ns, end(fd, p));
	}
	ksft_print_msg("end of 1 GiB: memfd %.1f ms, device %.1f (%.2f times)\n", (double)memfd_ns / 1e6,
		       (double)dev_ns / 1e6, (double)dev_ns / (double)memfd_ns);
}

/* ------------------------------------------------------------------------------------------ */
/* Dirty pages                                                                                */
/* ------------------------------------------------------------------------------------------ */

static uint64_t bits[PAGES / 64];

static void collect(struct memory m, uint32_t flags)
{
	struct tricolor_dirty d = { .size = sizeof(d), .flags = flags, .length = BYTES,
				    .bitmap = flags ? 0 : (uintptr_t)bits };

	ASSERT_EQ(0, call(m.fd, TRICOLOR_IOC_DIRTY, &d));
}

static void clear_refs(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);

	ASSERT_EQ(1, write(fd, "4", 1));
	close(fd);
}

static void read_pagemap(int fd, const char *p)
{
	static uint64_t entries[PAGES];

	ASSERT_EQ((ssize_t)sizeof(entries),
		  pread(fd, entries, sizeof(entries), (off_t)((uintptr_t)p / PAGE * 8)));
}

/* From Linux 6.7 on; numbers of that version, whatever headers this is built with. */
struct scan_region { uint64_t start, end, categories; };
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan)
#define SCAN_WRITTEN 2
#define SCAN_WP_MATCHING 1
#define SCAN_CHECK_WPASYNC 2
#define WP_UNPOPULATED (1ull << 13)
#define WP_ASYNC (1ull << 15)

static bool scan(int pagemap, const char *p)
{
	static struct scan_region regions[PAGES];
	struct scan s = {
		.size = sizeof(s), .flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)p, .end = (uintptr_t)p + BYTES,
		.vec = (uintptr_t)regions, .vec_len = PAGES,
		.mask = SCAN_WRITTEN, .return_mask = SCAN_WRITTEN,
	};

	return ioctl(pagemap, SCAN_IOCTL, &s) >= 0;
}

static bool protect_async(const char *p)
{
	struct uffdio_api api = { .api = UFFD_API, .features = WP_ASYNC | WP_UNPOPULATED };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = BYTES },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg);
}

/* Times of writing, and of collecting what was written. */
static void say_dirty(const char *what, const uint64_t ns[2])
{
	ksft_print_msg("%s: %.1f us/MiB to collect; the writer: %llu ns a page\n", what,
		       (double)ns[1] / 1e3 / (BYTES / MiB), (unsigned long long)ns[0] / PAGES);
}

/* Not in turns: soft-dirty protects all memory of the process, and so comes last. */
static void dirties(void)
{
	struct memory m = device(0), u = memfd(), s = memfd();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t plain = 0, ours[2] = { 0 }, wp[2] = { 0 }, soft[2] = { 0 };

	touch(m.p, BYTES);
	EACH_ROUND
		TAKE(plain, touch(m.p, BYTES));
	ksft_print_msg("writes that nobody looks for: %llu ns a page\n",
		       (unsigned long long)plain / PAGES);
	collect(m, TRICOLOR_DIRTY_START);
	EACH_ROUND {
		TAKE(ours[0], touch(m.p, BYTES));
		TAKE(ours[1], collect(m, 0));
	}
	say_dirty("dirty pages by the module", ours);
	touch(u.p, BYTES);
	if (protect_async(u.p) && scan(pagemap, u.p)) {
		EACH_ROUND {
			TAKE(wp[0], touch(u.p, BYTES));
			TAKE(wp[1], scan(pagemap, u.p));
		}
		say_dirty("uffd-wp", wp);
	} else {
		ksft_print_msg("uffd-wp: not on this kernel\n");
	}
	touch(s.p, BYTES);
	clear_refs();
	EACH_ROUND {
		TAKE(soft[0], touch(s.p, BYTES));
		TAKE(soft[1], read_pagemap(pagemap, s.p); clear_refs());
	}
	say_dirty("soft-dirty", soft);
}

TEST_TIMEOUT(figures, 550)
{
	REQUIRE_MODULE();
	faults();
	reclaims();
	ends();
	dirties();
}

TEST_HARNESS_MAIN
