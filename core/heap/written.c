// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * written.c - which pages of a heap were written since they were last asked about
 *
 * Generations, and programs without a barrier, need a set of pages that lacks no written page.  The
 * caller does not care which way finds it:
 *
 *	device	tricolor.ko moves the processors' dirty bits into a bitmap.  No write faults; any
 *		mapping of the arena counts.  Not with 2 MiB pages, nor on a kernel without
 *		CONFIG_MAPPING_DIRTY_HELPERS, as those of some clouds are.
 *	uffd	userfaultfd(2) write-protects the pages of one mapping, and the kernel lifts the
 *		protection by itself at the first write (UFFD_FEATURE_WP_ASYNC).  PAGEMAP_SCAN reads
 *		which pages are without it and protects them again, atomically for each page.  Linux
 *		6.7; no privilege, but the default profiles of containers deny userfaultfd(2).  The
 *		first write to a page costs a fault.
 *
 * Soft-dirty bits (/proc/PID/clear_refs) can't tell for shared memory: a page that was written,
 * lost its entry in the page table (reclaim, MADV_DONTNEED) and was then read has a new entry that
 * looks clean.  They are also cleared for the whole process, and not atomically with being read.
 * With uffd such an entry is without protection, and so counts as written.
 *
 * What uffd takes care of:
 *
 *  1. A page without an entry in the page table may have been written.  The kernel says of those
 *     that they were, and of holes of the file too.  A hole is told from memory by the file itself
 *     (SEEK_DATA knows what is swapped out), and it is asked after the page has been protected
 *     again: what is written from then on is told by the next call, and what was written before has
 *     memory.
 *  2. To protect a page, the kernel makes the page table that it is in: 1/512 of a sparse arena.
 *     So only those page tables are scanned that have memory of the file in their 2 MiB.  A page
 *     that gets its memory after that was looked up is not protected, and is told by the next call.
 *  3. `walk_end` of PAGEMAP_SCAN may lie before the end of what was scanned and protected (seen on
 *     6.18).  What is read is the list of regions: a scan that has not filled it has seen
 *     everything, and one that has goes on behind the last region.
 *
 * Missed by both: writes of devices and of the kernel through pages that were pinned before, until
 * they are unpinned.  Missed by uffd: writes through other mappings, as a child's after fork().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/tricolor.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "written.h"

#define PAGE_BYTES ((size_t)4096)
#define TABLE_PAGES ((size_t)512)	/* what one page table maps */
#define REGIONS 256			/* in one call: 6 KiB of stack */

/* Of <linux/userfaultfd.h> and <linux/fs.h>, where they are older than Linux 6.7. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

struct region {				/* struct page_region */
	uint64_t start, end, categories;
};

struct scan {				/* struct pm_scan_arg */
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan)	/* PAGEMAP_SCAN */
#define SCAN_WP_MATCHING (1 << 0)
#define SCAN_CHECK_WPASYNC (1 << 1)
#define IS_WRITTEN (1 << 1)
#define IS_PRESENT (1 << 3)
#define IS_SWAPPED (1 << 4)

/* ------------------------------------------------------------------------------------------ */
/* Bits                                                                                       */
/* ------------------------------------------------------------------------------------------ */

static void set_bits(uint64_t *bits, size_t first, size_t n)
{
	while (n) {
		size_t bit = first % 64, take = 64 - bit < n ? 64 - bit : n;

		bits[first / 64] |= (take == 64 ? ~0ull : (1ull << take) - 1) << bit;
		first += take;
		n -= take;
	}
}

static void clear_all(uint64_t *bits, size_t pages)
{
	memset(bits, 0, (pages + 63) / 64 * sizeof(*bits));
}

/* ------------------------------------------------------------------------------------------ */
/* The device                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static int device_call(const struct tri_written *w, uint32_t flags, size_t first, size_t pages,
		       uint64_t *bits)
{
	struct tricolor_dirty args = {
		.size = sizeof(args),
		.flags = flags,
		.offset = first * PAGE_BYTES,
		.length = pages * PAGE_BYTES,
		.bitmap = (uintptr_t)bits,
	};

	return ioctl(w->file, TRICOLOR_IOC_DIRTY, &args) ? -errno : 0;
}

/* Returns -ENOTTY if the file is not an arena of the device. */
static int device_open(const struct tri_written *w)
{
	struct tricolor_query query = { .size = sizeof(query) };
	struct tricolor_info info = { .size = sizeof(info) };

	if (ioctl(w->file, TRICOLOR_IOC_INFO, &info) || ioctl(w->file, TRICOLOR_IOC_QUERY, &query))
		return -errno;
	if (!(query.features & TRICOLOR_FEATURE_DIRTY) || info.create_flags & TRICOLOR_CREATE_HUGE)
		return -EOPNOTSUPP;
	return w->pages * PAGE_BYTES > info.bytes ? -EINVAL : 0;
}

/* ------------------------------------------------------------------------------------------ */
/* userfaultfd and PAGEMAP_SCAN                                                               */
/* ------------------------------------------------------------------------------------------ */

/*
 * The first of the pages [@at, @end) that has memory; @end: none has.  The end of the memory is not
 * asked for: the kernel would look at each page up to there, which may be all of the arena each
 * time.
 */
static int find_data(const struct tri_written *w, size_t at, size_t end, size_t *found)
{
	off_t data = lseek(w->file, (off_t)(at * PAGE_BYTES), SEEK_DATA);

	*found = end;
	if (data < 0)
		return errno == ENXIO ? 0 : -errno;
	if ((size_t)data / PAGE_BYTES < end)
		*found = (size_t)data / PAGE_BYTES;
	return 0;
}

/* Pages that have memory, but no entry in the page table: their bits, counted from @first. */
static int add_without_entry(const struct tri_written *w, size_t at, size_t end, size_t first,
			     uint64_t *bits)
{
	int err;

	for (; at < end; at++) {
		err = find_data(w, at, end, &at);
		if (err)
			return err;
		if (at < end)
			set_bits(bits, at - first, 1);
	}
	return 0;
}

static int add_region(const struct tri_written *w, const struct region *r, size_t first,
		      uint64_t *bits)
{
	size_t at = (r->start - w->base) / PAGE_BYTES, end = (r->end - w->base) / PAGE_BYTES;

	if (!(r->categories & (IS_PRESENT | IS_SWAPPED)))
		return add_without_entry(w, at, end, first, bits);
	set_bits(bits, at - first, end - at);
	return 0;
}

/* Protect the pages [@at, @end).  @bits: NULL, or where to say which of them were written. */
static int scan(const struct tri_written *w, size_t at, size_t end, size_t first, uint64_t *bits)
{
	struct region regions[REGIONS];
	uintptr_t to = w->base + end * PAGE_BYTES;
	struct scan args = {
		.size = sizeof(args),
		.flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
		.start = w->base + at * PAGE_BYTES,
		.end = to,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_mask = IS_WRITTEN,
		.return_mask = IS_WRITTEN | IS_PRESENT | IS_SWAPPED,
	};
	int n, i, err;

	do {
		n = ioctl(w->pagemap, SCAN, &args);
		if (n < 0)
			return -errno;
		for (i = 0; i < n && bits; i++) {
			err = add_region(w, &regions[i], first, bits);
			if (err)
				return err;
		}
		if (n)
			args.start = regions[n - 1].end;
	} while (n == REGIONS && args.start < to);
	return 0;
}

/* The end of the page table that @page is in; at most @end. */
static size_t end_of_table(const struct tri_written *w, size_t page, size_t end)
{
	size_t to = page + TABLE_PAGES - (w->base / PAGE_BYTES + page) % TABLE_PAGES;

	return to < end ? to : end;
}

/*
 * The first pages in [@at, @end) whose page tables are to be scanned: [*@from, *@to).  They begin
 * where there is memory, and go on as long as each page table has some.
 */
static int next_tables(const struct tri_written *w, size_t at, size_t end, size_t *from, size_t *to)
{
	size_t found, next;
	int err = find_data(w, at, end, &found);

	*from = *to = found;
	while (!err && *to < end) {
		next = end_of_table(w, *to, end);
		err = find_data(w, *to, next, &found);
		if (err || found == next)
			break;
		*to = next;
	}
	return err;
}

static int scan_data(const struct tri_written *w, size_t first, size_t pages, uint64_t *bits)
{
	size_t at = first, end = first + pages, from;
	int err = 0;

	while (at < end && !err) {
		err = next_tables(w, at, end, &from, &at);
		if (!err && from < at)
			err = scan(w, from, at, first, bits);
	}
	return err;
}

static int open_uffd(struct tri_written *w)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	struct uffdio_register range = {
		.range = { w->base, w->pages * PAGE_BYTES }, .mode = UFFDIO_REGISTER_MODE_WP,
	};

	w->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (w->uffd < 0)
		return -errno;
	/*
	 * EINVAL: a kernel that does not know the features.  EBUSY: somebody else's userfaultfd has
	 * the range.
	 */
	if (ioctl(w->uffd, UFFDIO_API, &api))
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	return ioctl(w->uffd, UFFDIO_REGISTER, &range) ? -errno : 0;
}

/* Whether the kernel knows the call: nothing is scanned. */
static int try_scan(const struct tri_written *w)
{
	int err = scan(w, 0, 0, 0, NULL);

	return err == -ENOTTY ? -EOPNOTSUPP : err;
}

static int check_file(const struct tri_written *w)
{
	struct stat st;

	if (fstat(w->file, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EMEDIUMTYPE;
	return (size_t)st.st_size < w->pages * PAGE_BYTES ? -EINVAL : 0;
}

static int uffd_open(struct tri_written *w)
{
	int err = check_file(w);

	if (!err)
		err = open_uffd(w);
	if (!err) {
		w->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		err = w->pagemap < 0 ? -errno : try_scan(w);
	}
	return err;
}

static int uffd_adopt(struct tri_written *w)
{
	struct statfs fs;
	int err = check_file(w);

	if (err)
		return err;
	if (fstatfs(w->pagemap, &fs))
		return -errno;
	return fs.f_type == PROC_SUPER_MAGIC ? try_scan(w) : -EINVAL;
}

/* ------------------------------------------------------------------------------------------ */
/* For all                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static int begin(struct tri_written *w, int file, int pagemap, uintptr_t base, size_t bytes)
{
	memset(w, 0, sizeof(*w));
	w->by = TRI_WRITTEN_BY_NOBODY;
	w->file = file;
	w->uffd = -1;
	w->pagemap = pagemap;
	w->base = base;
	w->pages = bytes / PAGE_BYTES;
	if (!bytes || bytes % PAGE_BYTES || base % PAGE_BYTES || bytes > UINTPTR_MAX - base)
		return -EINVAL;
	w->error[TRI_WRITTEN_BY_DEVICE] = device_open(w);
	if (!w->error[TRI_WRITTEN_BY_DEVICE])
		w->by = TRI_WRITTEN_BY_DEVICE;
	return 0;
}

/* Close what has been opened, when the rest can't be. */
static int end(struct tri_written *w, int err)
{
	w->error[TRI_WRITTEN_BY_UFFD] = err;
	if (!err) {
		w->by = TRI_WRITTEN_BY_UFFD;
		return 0;
	}
	tri_written_leave(w);
	return -EOPNOTSUPP;
}

int tri_written_open(struct tri_written *w, int file, void *base, size_t bytes)
{
	int err = begin(w, file, -1, (uintptr_t)base, bytes);

	return err || w->by == TRI_WRITTEN_BY_DEVICE ? err : end(w, uffd_open(w));
}

int tri_written_adopt(struct tri_written *w, int file, int pagemap, uintptr_t base, size_t bytes)
{
	int err = begin(w, file, pagemap, base, bytes);

	if (err) {
		tri_written_leave(w);
		return err;
	}
	return w->by == TRI_WRITTEN_BY_DEVICE ? 0 : end(w, uffd_adopt(w));
}

void tri_written_leave(struct tri_written *w)
{
	if (w->uffd >= 0)
		close(w->uffd);
	if (w->pagemap >= 0)
		close(w->pagemap);
	w->uffd = w->pagemap = -1;
	w->by = TRI_WRITTEN_BY_NOBODY;
	w->started = false;
}

void tri_written_close(struct tri_written *w)
{
	if (w->by == TRI_WRITTEN_BY_DEVICE)
		device_call(w, TRICOLOR_DIRTY_STOP, 0, 0, NULL);
	tri_written_leave(w);
}

int tri_written_start(struct tri_written *w)
{
	int err = -EOPNOTSUPP;

	if (w->by == TRI_WRITTEN_BY_DEVICE)
		err = device_call(w, TRICOLOR_DIRTY_START, 0, w->pages, NULL);
	else if (w->by == TRI_WRITTEN_BY_UFFD)
		err = scan_data(w, 0, w->pages, NULL);
	w->started = !err;
	return err;
}

static int collect(const struct tri_written *w, size_t first, size_t pages, uint64_t *bits)
{
	if (!w->started)
		return -ENODATA;
	if (first > w->pages || pages > w->pages - first)
		return -EINVAL;
	return w->by == TRI_WRITTEN_BY_DEVICE ? device_call(w, 0, first, pages, bits) :
						scan_data(w, first, pages, bits);
}

int tri_written_collect(struct tri_written *w, size_t first, size_t pages, uint64_t *bits)
{
	int err;

	/* @bits may be NULL then. */
	if (!pages)
		return w->started ? 0 : -ENODATA;
	clear_all(bits, pages);
	err = collect(w, first, pages, bits);
	if (err)
		set_bits(bits, 0, pages);
	return err;
}

/* ------------------------------------------------------------------------------------------ */
/* Words                                                                                      */
/* ------------------------------------------------------------------------------------------ */

const char *tri_written_name(enum tri_written_by by)
{
	static const char *const names[] = { "device", "uffd" };

	return by < TRI_WRITTEN_KINDS ? names[by] : "none";
}

static const char *why_no_device(int err)
{
	switch (err) {
	case 0:
		return "not tried";
	case -ENOTTY:
		return "the arena is not one of /dev/tricolor";
	case -EOPNOTSUPP:
		return "the arena has 2 MiB pages, or the kernel is built without CONFIG_MAPPING_DIRTY_HELPERS";
	default:
		return strerror(-err);
	}
}

static const char *why_no_uffd(int err)
{
	switch (err) {
	case 0:
		return "not tried";
	case -EMEDIUMTYPE:
		return "the arena is not a memfd";
	case -EOPNOTSUPP:
		return "the kernel is older than Linux 6.7";
	case -ENOSYS:
		return "the kernel is built without CONFIG_USERFAULTFD";
	case -EPERM:
		return "userfaultfd(2) is denied, as the default profiles of containers do: "
		       "allow it, or use /dev/tricolor";
	case -EACCES:
		return "/proc/self/pagemap can't be opened: the process is not dumpable (PR_SET_DUMPABLE)";
	case -EBUSY:
		return "another userfaultfd of the process has the range";
	case -EINVAL:
		return "the range is not a mapping of the file, or the descriptor is no pagemap";
	default:
		return strerror(-err);
	}
}

const char *tri_written_explain(const struct tri_written *w, char *text, size_t size)
{
	snprintf(text, size, "device: %s; uffd: %s", why_no_device(w->error[TRI_WRITTEN_BY_DEVICE]),
		 why_no_uffd(w->error[TRI_WRITTEN_BY_UFFD]));
	return text;
}
