// SPDX-License-Identifier: GPL-2.0-only
/*
 * backing.c - the file that an arena lives in
 *
 * A memfd has to be sealed against shrinking and growing, or the client could take pages away while
 * we read them.  The size of an arena of /dev/tricolor never changes.
 *
 * Holes of the device do not fill when we touch them, so we are never charged for a client's page.
 * Nor do those of a memfd, where the kernel has userfaultfd.  Otherwise one large object that was
 * never written would be enough to have us fill the machine's memory.  fault.c handles the bus
 * error of a thread that touches a hole.
 */
#include "backing.h"

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

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define RANGES_MAX 64

/* Its name tells.  An ioctl might have any effect on a descriptor of another kind. */
static bool is_collector(int fd)
{
	static const char want[] = "anon_inode:[tricolor-collector]";
	char path[32], name[sizeof(want)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, name, sizeof(name)) == sizeof(want) - 1 &&
	       !memcmp(name, want, sizeof(want) - 1);
}

static int check_device(int fd, uint64_t *bytes, const char **why)
{
	struct tricolor_query query = { .size = sizeof(query) };
	struct tricolor_info info = { .size = sizeof(info) };

	if (ioctl(fd, TRICOLOR_IOC_QUERY, &query) || query.version != TRICOLOR_VERSION) {
		*why = "the kernel module tricolor is of another version than this daemon; "
		       "install the same version of both";
		return EPROTONOSUPPORT;
	}
	if (ioctl(fd, TRICOLOR_IOC_INFO, &info)) {
		*why = "the kernel module tricolor does not say what arena this is";
		return errno;
	}
	*bytes = info.bytes;
	return 0;
}

static int check_memfd(int fd, uint64_t *bytes, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	/* Huge pages may run out, and then a touch is a bus error. */
	if (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC) {
		*why = "the arena is no memfd of ordinary memory";
		return EMEDIUMTYPE;
	}
	if (seals < 0 || (seals & SEALS) != SEALS) {
		*why = "the arena's memfd is not sealed against shrinking and growing";
		return EPERM;
	}
	if (fstat(fd, &st)) {
		*why = "the size of the arena's memfd can't be read";
		return errno;
	}
	*bytes = (uint64_t)st.st_size;
	return 0;
}

int backing_check(int fd, bool *is_device, uint64_t *bytes, const char **why)
{
	*is_device = is_collector(fd);
	return *is_device ? check_device(fd, bytes, why) : check_memfd(fd, bytes, why);
}

int backing_guard_holes(bool is_device, void *base, uint64_t bytes)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MISSING_SHMEM,
	};
	struct uffdio_register range = {
		.range = { (uintptr_t)base, bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd;

	if (is_device)
		return -1;
	/* Nothing is ever read from it, as the thread that faults gets a bus error. */
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) {
		close(fd);
		return -1;
	}
	return fd;
}

uint64_t backing_resident_bytes(int fd, uint64_t otherwise)
{
	struct tricolor_info info = { .size = sizeof(info) };
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return otherwise;
	if (S_ISREG(st.st_mode))
		return (uint64_t)st.st_blocks * 512;
	/* backing_check() refuses all but the device and memory files. */
	return ioctl(fd, TRICOLOR_IOC_INFO, &info) ? otherwise : info.resident_bytes;
}

/* One call releases many ranges, so that the cost is that of their pages. */
static int release_device(int fd, const struct backing_range *ranges, unsigned int n)
{
	struct tricolor_range vector[RANGES_MAX];
	struct tricolor_ranges args = { .size = sizeof(args), .ranges = (uintptr_t)vector };
	unsigned int i, m;

	for (; n; n -= m, ranges += m) {
		m = n < RANGES_MAX ? n : RANGES_MAX;
		for (i = 0; i < m; i++)
			vector[i] = (struct tricolor_range){ .offset = ranges[i].offset,
							     .length = ranges[i].bytes };
		args.nr = m;
		if (ioctl(fd, TRICOLOR_IOC_RECLAIM, &args))
			return errno;
		for (i = 0; i < m; i++)
			if (vector[i].result)
				return -vector[i].result;
	}
	return 0;
}

int backing_release(int fd, bool is_device, const struct backing_range *ranges, unsigned int n)
{
	if (is_device)
		return release_device(fd, ranges, n);
	for (; n; n--, ranges++)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)ranges->offset,
			      (off_t)ranges->bytes))
			return errno;
	return 0;
}
