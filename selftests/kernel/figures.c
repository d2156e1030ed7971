// SPDX-License-Identifier: GPL-2.0-only
/*
 * figures.c - what the module costs, beside a memfd and what else there is
 *
 * No test: it prints figures, and no time makes it fail.  In an emulator only ratios mean anything.  Each
 * figure is the least of several rounds.
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

/* The least time of ROUNDS runs of @what, each after @before. */
#define LEAST(before, what) ({							\
	uint64_t least_ = UINT64_MAX, begin_;					\
	int round_;								\
	for (round_ = 0; round_ < ROUNDS; round_++) {				\
		before;								\
		begin_ = now_ns();						\
		what;								\
		begin_ = now_ns() - begin_;					\
		if (begin_ < least_)						\
			least_ = begin_;					\
	}									\
	(double)least_;								\
})

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
	double memfd_ns = LEAST(empty(a), touch(a.p, BYTES)) / PAGES;
	double dev_ns = LEAST(empty(b), touch(b.p, BYTES)) / PAGES;
	double huge_ns = LEAST(empty(c), touch(c.p, BYTES)) / PAGES;

	ksft_print_msg("write fault: memfd %.0f ns a page, device %.0f (%.2f times), with 2 MiB pages %.0f\n",
		       memfd_ns, dev_ns, dev_ns / memfd_ns, huge_ns);
}

/* Every second run of @pages pages is freed, PAGES / 2 pages in all. */
static void reclaim_each(struct memory m, uint64_t pages)
{
	uint64_t at;

	for (at = 0; at < PAGES; at += 2 * pages)
		ASSERT_EQ(0, madvise(m.p + at * PAGE, pages * PAGE, MADV_REMOVE));
}

static void reclaim_vector(struct memory m, uint64_t pages, uint32_t flags, unsigned long nr)
{
	struct tricolor_range r[VECTOR];
	uint32_t n = 0;
	uint64_t at;

	for (at = 0; at < PAGES; at += 2 * pages) {
		r[n++] = (struct tricolor_range){ .offset = at * PAGE, .length = pages * PAGE };
		if (n == VECTOR || at + 2 * pages >= PAGES) {
			ASSERT_EQ(0, ranges_call(m.fd, nr, flags, r, n, NULL));
			n = 0;
		}
	}
}

static void reclaims(void)
{
	struct memory a = memfd(), b = device(0);
	uint64_t pages;

	for (pages = 1; pages <= 64; pages *= 4) {
		double ranges = (double)PAGES / 2 / (double)pages;
		double memfd_ns = LEAST(touch(a.p, BYTES), reclaim_each(a, pages)) / ranges;
		double each_ns = LEAST(touch(b.p, BYTES), reclaim_each(b, pages)) / ranges;
		double vector_ns = LEAST(touch(b.p, BYTES),
					 reclaim_vector(b, pages, 0, TRICOLOR_IOC_RECLAIM)) / ranges;

		ksft_print_msg("reclaim of %2llu pages: %.0f ranges/s by madvise on a memfd, %.0f on the "
			       "device, %.0f by vector (%.2f times)\n", (unsigned long long)pages,
			       1e9 / memfd_ns, 1e9 / each_ns, 1e9 / vector_ns, each_ns / vector_ns);
	}
}

static void touch_half(struct memory m, uint64_t pages)
{
	uint64_t at;

	for (at = 0; at < PAGES; at += 2 * pages)
		touch(m.p + at * PAGE, pages * PAGE);
}

static void reuses(void)
{
	struct memory m = device(0);
	uint64_t pages;

	for (pages = 1; pages <= 64; pages *= 4) {
		double n = (double)PAGES / 2;
		double lazy_free = LEAST(touch(m.p, BYTES),
					 reclaim_vector(m, pages, TRICOLOR_RECLAIM_LAZY,
							TRICOLOR_IOC_RECLAIM);
					 ) / n;
		double lazy = LEAST(touch(m.p, BYTES);
				    reclaim_vector(m, pages, TRICOLOR_RECLAIM_LAZY, TRICOLOR_IOC_RECLAIM),
				    reclaim_vector(m, pages, 0, TRICOLOR_IOC_REUSE);
				    touch_half(m, pages)) / n;
		double eager_free = LEAST(touch(m.p, BYTES),
					  reclaim_vector(m, pages, 0, TRICOLOR_IOC_RECLAIM)) / n;
		double eager = LEAST(touch(m.p, BYTES);
				     reclaim_vector(m, pages, 0, TRICOLOR_IOC_RECLAIM),
				     touch_half(m, pages)) / n;

		ksft_print_msg("freed and used again by %2llu pages, ns a page: lazily %.0f + %.0f, at once "
			       "%.0f + %.0f; use again %.1f times, both %.1f times\n",
			       (unsigned long long)pages, lazy_free, lazy, eager_free, eager, eager / lazy,
			       (eager_free + eager) / (lazy_free + lazy));
	}
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

static void dirties(void)
{
	struct memory m = device(0), s = memfd();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	double plain, ours, soft;

	touch(m.p, BYTES);
	touch(s.p, BYTES);
	plain = LEAST(touch(m.p, BYTES), touch(m.p, BYTES)) / PAGES;
	collect(m, TRICOLOR_DIRTY_START);
	ours = LEAST(collect(m, 0), touch(m.p, BYTES)) / PAGES;
	ksft_print_msg("dirty pages by the module: %.1f us/MiB to collect; the writer: %.0f ns a page, "
		       "%.0f without\n", LEAST(touch(m.p, BYTES), collect(m, 0)) / 1e3 / (BYTES / MiB),
		       ours, plain);
	soft = LEAST(clear_refs(), touch(s.p, BYTES)) / PAGES;
	ksft_print_msg("soft-dirty: %.1f us/MiB to collect; the writer: %.0f ns a page\n",
		       LEAST(touch(s.p, BYTES), read_pagemap(pagemap, s.p); clear_refs()) / 1e3 /
		       (BYTES / MiB), soft);
	if (!protect_async(s.p) || !scan(pagemap, s.p)) {
		ksft_print_msg("uffd-wp: not on this kernel\n");
		return;
	}
	ksft_print_msg("uffd-wp: %.1f us/MiB to collect; the writer: %.0f ns a page\n",
		       LEAST(touch(s.p, BYTES), scan(pagemap, s.p)) / 1e3 / (BYTES / MiB),
		       LEAST(scan(pagemap, s.p), touch(s.p, BYTES)) / PAGES);
}

TEST(figures)
{
	REQUIRE_MODULE();
	faults();
	reclaims();
	reuses();
	dirties();
}

TEST_HARNESS_MAIN
