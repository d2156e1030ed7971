// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench_device.c - what an arena of the device costs, and the same with a memfd
 *
 *	bench_device [ROUNDS]		(default 7)
 *
 * Prints a table: the median of the rounds, of both taken in turn.  It judges nothing: times in an
 * emulator, and on a machine that is shared, are good as ratios only.
 *
 *  faults	  a page written for the first time
 *  reclaim	  ranges of 1, 4, 16 and 64 pages with holes between them: one call for 256 of them
 *		  against madvise(MADV_REMOVE) for each
 *  reuse	  a page that was freed lazily, reused and written, against one that was freed
 *		  eagerly and is written, and so faults and is cleared
 *  dirty	  pages written since the last look: what the look costs, and what it costs the writer,
 *		  against soft-dirty and userfaultfd's asynchronous write protection (6.7)
 */
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "arena.h"

#define BYTES (64 * MiB)
#define PAGES (BYTES / PAGE)
#define RANGES 256
#define ROUNDS_MAX 99

static int rounds = 7;

enum side { DEVICE, MEMFD, SIDES };

static int fds[SIDES];
static char *maps[SIDES];

/* Samples of one quantity, in ns. */
struct samples {
	double v[ROUNDS_MAX];
	int n;
};

static void add(struct samples *s, double v)
{
	if (s->n < ROUNDS_MAX)
		s->v[s->n++] = v;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct samples *s)
{
	qsort(s->v, (size_t)s->n, sizeof(s->v[0]), compare);
	return s->n ? s->v[s->n / 2] : 0;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* Write a byte of each page; ns a page. */
static double touch(char *p, uint64_t pages)
{
	uint64_t begin = now_ns(), i;

	for (i = 0; i < pages; i++)
		*(volatile char *)(p + i * PAGE) = 1;
	return (double)(now_ns() - begin) / (double)pages;
}

static void drop_all(enum side side)
{
	must(!madvise(maps[side], BYTES, MADV_REMOVE), "MADV_REMOVE");
}

static void open_both(void)
{
	int i;

	fds[DEVICE] = open(DEV, O_RDWR | O_CLOEXEC);
	must(fds[DEVICE] >= 0, DEV);
	must(!create(fds[DEVICE], BYTES, 0, NULL), "TRICOLOR_IOC_CREATE");
	fds[MEMFD] = memfd_create("bench", MFD_CLOEXEC);
	must(fds[MEMFD] >= 0 && !ftruncate(fds[MEMFD], BYTES), "memfd");
	for (i = 0; i < SIDES; i++) {
		maps[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		must(maps[i] != MAP_FAILED, "mmap");
	}
}

static void bench_faults(void)
{
	struct samples s[SIDES] = { 0 };
	int r, side;

	for (r = 0; r < rounds; r++) {
		for (side = 0; side < SIDES; side++) {
			drop_all(side);
			add(&s[side], touch(maps[side], PAGES));
		}
	}
	printf("write fault, ns a page:            device %7.0f, memfd %7.0f: %.2f of memfd's\n",
	       median(&s[DEVICE]), median(&s[MEMFD]), median(&s[DEVICE]) / median(&s[MEMFD]));
}

static void bench_reclaim(uint64_t pages)
{
	static struct tricolor_range v[RANGES];
	struct samples s[SIDES] = { 0 };
	uint64_t stride = pages + 1 > PAGES / RANGES ? pages : pages + 1, begin;
	int r, i;

	for (i = 0; i < RANGES; i++)
		v[i] = (struct tricolor_range){ .offset = (uint64_t)i * stride * PAGE,
						.length = pages * PAGE };
	for (r = 0; r < rounds; r++) {
		touch(maps[DEVICE], PAGES);
		begin = now_ns();
		must(!ranges_call(fds[DEVICE], TRICOLOR_IOC_RECLAIM, 0, v, RANGES, NULL), "RECLAIM");
		add(&s[DEVICE], (double)(now_ns() - begin) / RANGES);
		touch(maps[MEMFD], PAGES);
		begin = now_ns();
		for (i = 0; i < RANGES; i++)
			must(!madvise(maps[MEMFD] + v[i].offset, v[i].length, MADV_REMOVE), "madvise");
		add(&s[MEMFD], (double)(now_ns() - begin) / RANGES);
	}
	printf("reclaim of %2llu pages, ranges a second: vectored %7.0f, madvise %7.0f: %.2f times\n",
	       (unsigned long long)pages, 1e9 / median(&s[DEVICE]), 1e9 / median(&s[MEMFD]),
	       median(&s[MEMFD]) / median(&s[DEVICE]));
}

/* In ranges of 16 pages, as a heap reuses spans. */
static void bench_reuse(void)
{
	static struct tricolor_range v[PAGES / 16];
	struct samples lazy = { 0 }, eager = { 0 };
	uint64_t begin, kept = 0, asked = 0, i, n = PAGES / 16;
	int r;

	for (i = 0; i < n; i++)
		v[i] = (struct tricolor_range){ .offset = i * 16 * PAGE, .length = 16 * PAGE };
	for (r = 0; r < rounds; r++) {
		touch(maps[DEVICE], PAGES);
		must(!ranges_call(fds[DEVICE], TRICOLOR_IOC_RECLAIM, TRICOLOR_RECLAIM_LAZY, v,
				  (uint32_t)n, NULL), "RECLAIM, lazy");
		begin = now_ns();
		must(!ranges_call(fds[DEVICE], TRICOLOR_IOC_REUSE, 0, v, (uint32_t)n, NULL), "REUSE");
		touch(maps[DEVICE], PAGES);
		add(&lazy, (double)(now_ns() - begin) / PAGES);
		for (i = 0; i < n; i++)
			kept += !(v[i].flags & TRICOLOR_RANGE_GONE);
		asked += n;
		must(!ranges_call(fds[DEVICE], TRICOLOR_IOC_RECLAIM, 0, v, (uint32_t)n, NULL), "RECLAIM");
		add(&eager, touch(maps[DEVICE], PAGES));
	}
	printf("reuse, ns a page:                  lazy %7.0f, fault and zero %7.0f: %.1f times "
	       "(%llu of %llu ranges were still there)\n",
	       median(&lazy), median(&eager), median(&eager) / median(&lazy),
	       (unsigned long long)kept, (unsigned long long)asked);
}

/* ------------------------------------------------------------------------------------------ */
/* Dirty pages                                                                                */
/* ------------------------------------------------------------------------------------------ */

static void report_dirty(const char *what, struct samples *look, struct samples *writer,
			 double plain)
{
	printf("dirty pages, %-22s look %7.1f us/MiB, writer %6.0f ns a page more\n", what,
	       median(look) / 1000 / (BYTES / MiB), median(writer) - plain);
}

static double bench_plain_writes(void)
{
	struct samples s = { 0 };
	int r;

	touch(maps[DEVICE], PAGES);
	for (r = 0; r < rounds; r++)
		add(&s, touch(maps[DEVICE], PAGES));
	return median(&s);
}

static void bench_dirty_device(double plain)
{
	static uint64_t bits[PAGES / 64];
	struct samples look = { 0 }, writer = { 0 };
	uint64_t begin, pages;
	int r;

	touch(maps[DEVICE], PAGES);
	must(!dirty_call(fds[DEVICE], TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL), "DIRTY");
	for (r = 0; r < rounds; r++) {
		add(&writer, touch(maps[DEVICE], PAGES));
		begin = now_ns();
		must(!dirty_call(fds[DEVICE], 0, 0, BYTES, bits, &pages), "DIRTY");
		add(&look, (double)(now_ns() - begin));
		must(pages == PAGES, "all pages were written");
	}
	dirty_call(fds[DEVICE], TRICOLOR_DIRTY_STOP, 0, 0, NULL, NULL);
	report_dirty("device:", &look, &writer, plain);
}

static void bench_soft_dirty(double plain)
{
	static uint64_t entries[PAGES];
	struct samples look = { 0 }, writer = { 0 };
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r;
	off_t at = (off_t)((uintptr_t)maps[MEMFD] / PAGE * 8);
	uint64_t begin;

	touch(maps[MEMFD], PAGES);
	if (pagemap < 0 || write_text("/proc/self/clear_refs", "4")) {
		puts("dirty pages, soft-dirty:            not on this kernel");
		return;
	}
	for (r = 0; r < rounds; r++) {
		add(&writer, touch(maps[MEMFD], PAGES));
		begin = now_ns();
		must(pread(pagemap, entries, sizeof(entries), at) == sizeof(entries), "pagemap");
		must(!write_text("/proc/self/clear_refs", "4"), "clear_refs");
		add(&look, (double)(now_ns() - begin));
		must(entries[PAGES / 2] >> 55 & 1, "soft-dirty bits are set");
	}
	close(pagemap);
	report_dirty("soft-dirty:", &look, &writer, plain);
}

/* Linux 6.7; the system's headers may be older. */
struct scan_argument {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)
#define SCAN_WP_MATCHING 1ull
#define SCAN_CHECK_WPASYNC 2ull
#define SCAN_WRITTEN (1ull << 1)
#define WP_ASYNC (1ull << 15)
#define WP_UNPOPULATED (1ull << 13)

static void bench_write_protection(double plain)
{
	struct uffdio_api api = { .api = UFFD_API, .features = WP_ASYNC | WP_UNPOPULATED };
	struct uffdio_register reg = { .range = { (uintptr_t)maps[MEMFD], BYTES },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	struct samples look = { 0 }, writer = { 0 };
	struct scan_region regions[16];
	struct scan_argument scan = {
		.size = sizeof(scan), .flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)maps[MEMFD], .end = (uintptr_t)maps[MEMFD] + BYTES,
		.vec = (uintptr_t)regions, .vec_len = 16, .category_mask = SCAN_WRITTEN,
		.return_mask = SCAN_WRITTEN,
	};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), r;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t begin;

	touch(maps[MEMFD], PAGES);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    ioctl(pagemap, SCAN_IOCTL, &scan) < 0) {
		puts("dirty pages, uffd-wp:               not (asynchronously) on this kernel");
		return;
	}
	for (r = 0; r < rounds; r++) {
		add(&writer, touch(maps[MEMFD], PAGES));
		begin = now_ns();
		must(ioctl(pagemap, SCAN_IOCTL, &scan) > 0, "PAGEMAP_SCAN");
		add(&look, (double)(now_ns() - begin));
		must(regions[0].end - regions[0].start == BYTES, "all pages were written");
	}
	close(uffd);
	close(pagemap);
	report_dirty("uffd-wp, asynchronous:", &look, &writer, plain);
}

int main(int argc, char **argv)
{
	double plain;

	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = 7;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13\n1..1");
	if (access(DEV, F_OK)) {
		puts("ok 1 # SKIP no " DEV ": the module is not loaded");
		return KSFT_SKIP;
	}
	open_both();
	bench_faults();
	bench_reclaim(1);
	bench_reclaim(4);
	bench_reclaim(16);
	bench_reclaim(64);
	bench_reuse();
	plain = bench_plain_writes();
	bench_dirty_device(plain);
	bench_soft_dirty(plain);
	bench_write_protection(plain);
	puts("ok 1 measured");
	return 0;
}
