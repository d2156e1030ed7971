// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * backing.c - what an arena lives in: the only file of the library that knows
 *
 *  - An arena of /dev/tricolor, if the module is there in our version: what we touch is charged to
 *    us alone.  The collector gets a descriptor of its own kind, which adds no memory; the owner's
 *    stays with the agent.
 *  - Else a memfd of the arena's full size, sparse, sealed against shrinking and growing (the
 *    collector maps it too, and refuses one that could be cut off under it).
 *
 * Either is mapped shared, and not inherited by children.  Where the address space, the file size,
 * or what a user may have is limited, a smaller arena is tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tricolor.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/heap/layout.h"
#include "backing.h"
#include "dumping.h"
#include "settings.h"
#include "tricolor.h"

#define DEVICE "/dev/tricolor"

/* After mlockall(MCL_FUTURE) a page is there as soon as it is mapped. */
static bool locks_what_comes(void)
{
	unsigned char there = 0;
	void *page = mmap(NULL, TRI_SYSTEM_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	if (mincore(page, TRI_SYSTEM_PAGE, &there))
		there = 0;
	munmap(page, TRI_SYSTEM_PAGE);
	return there & 1;
}

/*
 * What mlockall(MCL_FUTURE) has locked would be filled as soon as it can be read: instead, pages
 * are to be locked when they are touched.  Where not so much may be locked, they are not.
 */
static bool lock_as_used(void *base, uint64_t bytes)
{
	return !locks_what_comes() || !mlock2(base, bytes, MLOCK_ONFAULT) || !munlock(base, bytes);
}

/* Aligned address space for the file; the parts of the reservation around it are given back. */
static void *map_aligned(int fd, uint64_t bytes)
{
	char *space = mmap(NULL, bytes + TRI_HUGE_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *base;

	if (space == MAP_FAILED)
		return NULL;
	base = (char *)(((uintptr_t)space + TRI_HUGE_BYTES - 1) & ~(TRI_HUGE_BYTES - 1));
	if (base > space)
		munmap(space, (size_t)(base - space));
	munmap(base + bytes, (size_t)(space + TRI_HUGE_BYTES - base));
	if (mmap(base, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) ==
		    MAP_FAILED ||
	    !lock_as_used(base, bytes) || mprotect(base, bytes, PROT_READ | PROT_WRITE)) {
		munmap(base, bytes);
		return NULL;
	}
	return base;
}

static int map_file(struct tri_mapping *m)
{
	m->base = map_aligned(m->fd, m->layout.file_bytes);
	return m->base && !madvise(m->base, m->layout.file_bytes, MADV_DONTFORK) ? 0 : -ENOMEM;
}

static void give_up(struct tri_mapping *m)
{
	if (m->base)
		munmap(m->base, m->layout.file_bytes);
	m->base = NULL;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

static int open_memfd(struct tri_mapping *m)
{
	m->fd = memfd_create("tricolor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -errno;
	if (ftruncate(m->fd, (off_t)m->layout.file_bytes) ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return map_file(m);
}

static int open_device(struct tri_mapping *m)
{
	struct tricolor_create create = { .size = sizeof(create), .bytes = m->layout.file_bytes };

	m->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (m->fd < 0)
		return -errno;
	if (ioctl(m->fd, TRICOLOR_IOC_CREATE, &create))
		return -errno;
	return map_file(m);
}

/* 0 if there is a module that we can use, or a negative errno. */
static int look_for_device(void)
{
	struct tricolor_query query = { .size = sizeof(query) };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TRICOLOR_IOC_QUERY, &query))
		err = -errno;
	else if (query.version != TRICOLOR_VERSION)
		err = -EPROTONOSUPPORT;
	close(fd);
	return err;
}

/*
 * Of a limited address space the arena takes a third.  A child of fork() that has a copy of it maps
 * both for a moment, and the program has stacks, libraries and memory of its own.
 */
static bool too_large(const struct tri_layout *layout)
{
	struct rlimit space;

	return !getrlimit(RLIMIT_AS, &space) && layout->file_bytes > space.rlim_cur / 3;
}

static int open_largest(struct tri_mapping *m, uint64_t bytes,
			int (*open_file)(struct tri_mapping *m))
{
	const uint64_t chunk = TRI_CHUNK_PAGES;
	uint64_t pages = ((bytes >> TRI_PAGE_SHIFT) + chunk - 1) / chunk * chunk;
	int err;

	for (;;) {
		err = tri_layout_init(&m->layout, pages);
		if (!err && pages > TRI_MIN_HEAP_PAGES && too_large(&m->layout))
			err = -ENOMEM;
		if (!err)
			err = open_file(m);
		if (!err)
			return 0;
		give_up(m);
		if (err == -EINVAL || err == -ENOSYS || err == -EPERM || err == -EACCES ||
		    pages <= TRI_MIN_HEAP_PAGES)
			return err;
		pages = pages / 2 / chunk * chunk;
		if (pages < TRI_MIN_HEAP_PAGES)
			pages = TRI_MIN_HEAP_PAGES;
	}
}

/**
 * Make an arena.  Run by the agent, whose descriptor table gets the descriptor.
 * Returns 0, or a negative errno: why there is no device, if one was asked for, or the system's
 * refusal.
 */
int tri_backing_open(struct tri_mapping *m, const struct tri_settings *s)
{
	int err;

	m->fd = -1;
	m->base = NULL;
	m->is_device = false;
	if (s->backing != TRI_BACKING_MEMFD) {
		err = look_for_device();
		if (!err)
			err = open_largest(m, s->arena_bytes, open_device);
		m->is_device = !err;
		if (!err || s->backing == TRI_BACKING_DEV)
			return err;
	}
	return open_largest(m, s->arena_bytes, open_memfd);
}

/**
 * The descriptor that a collector gets, or a negative errno.  tri_backing_passed() when it has it.
 */
int tri_backing_pass(const struct tri_mapping *m)
{
	struct tricolor_collector collector = { .size = sizeof(collector) };

	if (!m->is_device)
		return m->fd;
	return ioctl(m->fd, TRICOLOR_IOC_COLLECTOR, &collector) ? -errno : collector.fd;
}

void tri_backing_passed(const struct tri_mapping *m, int fd)
{
	/* The owner looks at its collectors by this: none is left of one that dies. */
	if (m->is_device)
		close(fd);
}

/** Why there is no arena: a sentence for the user.  Static. */
const char *tri_backing_why(const struct tri_settings *s, int err)
{
	if (err == -ENOMEM && locks_what_comes())
		return "mlockall() locks what is mapped, and RLIMIT_MEMLOCK is too low for an arena; raise it, or "
		       "start the heap first";
	if (s->backing != TRI_BACKING_DEV)
		return strerror(-err);
	switch (-err) {
	case ENOENT:
		return "there is no " DEVICE "; load the kernel module tricolor, or let "
		       "TRICOLOR_BACKING be auto";
	case EACCES:
	case EPERM:
		return "no permission to open " DEVICE "; its mode should be 0666";
	case EPROTONOSUPPORT:
		return "the kernel module tricolor is of another version than libtricolor; install the "
		       "same version of both";
	case EDQUOT:
		return "this user has as many arenas of " DEVICE " as the module's limits allow "
		       "(/sys/module/tricolor/parameters)";
	default:
		return strerror(-err);
	}
}

/* A forked child: the mapping did not come along. */
void tri_backing_close(struct tri_mapping *m)
{
	m->fd = -1;
	m->base = NULL;
}

/* Above what programs count on; still below where the kernel would need a larger table. */
static int move_up(int fd)
{
	struct rlimit limit;
	int up;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < 32)
		return fd;
	up = fcntl(fd, F_DUPFD_CLOEXEC, (int)(limit.rlim_cur > 1024 ? 960 : limit.rlim_cur - 32));
	if (up < 0)
		return fd;
	close(fd);
	return up;
}

static int open_copy(struct tri_mapping *m, const struct tri_mapping *of)
{
	struct tricolor_create create = { .size = sizeof(create), .bytes = of->layout.file_bytes };
	/* A memfd is written to, an arena of the device through a mapping. */
	uint64_t bytes = m->is_device ? of->layout.file_bytes : of->layout.heap;
	struct rlimit limit;
	struct stat st;

	m->fd = m->is_device ? open(DEVICE, O_RDWR | O_CLOEXEC) :
		memfd_create("tricolor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -errno;
	m->fd = move_up(m->fd);
	if (m->is_device) {
		if (ioctl(m->fd, TRICOLOR_IOC_CREATE, &create))
			return -errno;
	} else {
		/* Past the limit there would be a signal, too. */
		if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < of->layout.file_bytes)
			return -EFBIG;
		if (ftruncate(m->fd, (off_t)of->layout.file_bytes) ||
		    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
			return -errno;
	}
	if (fstat(m->fd, &st))
		return -errno;
	m->inode = st.st_ino;
	m->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		return -errno;
	}
	return 0;
}

/**
 * An arena like @of, for a forked child to fill.  @m->base: a mapping of its tables at least, at
 * any address.  The descriptor is the calling thread's.  Returns 0 or a negative errno.
 */
int tri_backing_copy(struct tri_mapping *m, const struct tri_mapping *of)
{
	int err;

	*m = (struct tri_mapping){ .fd = -1, .is_device = of->is_device, .layout = of->layout };
	err = open_copy(m, of);
	if (err)
		tri_backing_discard(m);
	return err;
}

/** Write @bytes from @from to byte @offset of an arena of tri_backing_copy(). */
int tri_backing_write(const struct tri_mapping *m, uint64_t offset, const char *from,
		      uint64_t bytes)
{
	if (m->is_device) {
		memcpy((char *)m->base + offset, from, bytes);
		return 0;
	}
	while (bytes) {
		ssize_t n = pwrite(m->fd, from, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		from += n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static uint64_t mapped_bytes(const struct tri_mapping *m)
{
	return m->is_device ? m->layout.file_bytes : m->layout.heap;
}

/** An arena of tri_backing_copy() that nobody wants. */
void tri_backing_discard(struct tri_mapping *m)
{
	if (m->base)
		munmap(m->base, mapped_bytes(m));
	m->base = NULL;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

/**
 * Map an arena of tri_backing_copy() at @at, over what is there.  Returns 0 or a negative errno.
 */
int tri_backing_install(struct tri_mapping *m, void *at)
{
	munmap(m->base, mapped_bytes(m));
	m->base = NULL;
	if (mmap(at, m->layout.file_bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, m->fd, 0) == MAP_FAILED)
		return -errno;
	m->base = at;
	return madvise(at, m->layout.file_bytes, MADV_DONTFORK) ? -errno : 0;
}

/**
 * Whether the descriptor of tri_backing_copy() is still one of this arena: the program may have
 * closed it.
 */
bool tri_backing_is_there(const struct tri_mapping *m)
{
	struct stat st;

	return m->fd >= 0 && !fstat(m->fd, &st) && st.st_ino == m->inode;
}

/** Whether a child that is forked now has the mapping, too. */
int tri_backing_inherit(const struct tri_mapping *m, bool inherit)
{
	return madvise(m->base, m->layout.file_bytes, inherit ? MADV_DOFORK : MADV_DONTFORK) ?
		       -errno :
		       0;
}
