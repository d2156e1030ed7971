// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * backing.c - whether an arena is a memfd or an arena of /dev/tricolor, and what follows from that
 *
 *  - If the kernel module is loaded in our version, it is an arena of /dev/tricolor.  Then what we
 *    touch is charged to us alone.  The collector gets a descriptor of its own kind, which adds no
 *    memory.  The owner's descriptor stays with the agent.
 *  - Else it is a sparse memfd of the arena's full size, sealed against shrinking and growing.  The
 *    collector maps it too, and refuses one that could be cut off under it.
 *
 * Either is mapped shared, and children do not inherit the mapping.  Where the address space, the
 * file size, or what a user may have is limited, a smaller arena is tried.
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

#include "../../core/heap/layout.h"
#include "backing.h"
#include "dumping.h"
#include "../base/settings.h"
#include "tricolor.h"

#define DEVICE "/dev/tricolor"

/* Whether new mappings are locked, by mlockall(MCL_FUTURE): then a page has memory at once. */
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

/**
 * Have pages locked when they are touched.  After mlockall(MCL_FUTURE) all of the mapping would get
 * memory as soon as it can be read.  Where so much may not be locked, nothing is locked.
 */
bool tri_backing_lock_as_used(void *base, uint64_t bytes)
{
	return !locks_what_comes() || !mlock2(base, bytes, MLOCK_ONFAULT) || !munlock(base, bytes);
}

/* Map the file at an aligned address.  More is reserved, and what lies around it is given back. */
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
	    !tri_backing_lock_as_used(base, bytes) ||
	    mprotect(base, bytes, PROT_READ | PROT_WRITE)) {
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

/* Returns 0 if there is a module that we can use, or a negative errno. */
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
 * Whether an arena would take more than a third of a limited address space.  A child of fork() that
 * gets a copy of the arena maps both for a moment, and the program has stacks, libraries and memory
 * of its own.
 */
static bool too_large(const struct tri_layout *layout)
{
	struct rlimit space;

	return !getrlimit(RLIMIT_AS, &space) && layout->file_bytes > space.rlim_cur / 3;
}

/* Open an arena of @bytes, or the largest that the system allows. */
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
 * Make an arena.  Called by the agent, whose descriptor table gets the descriptor.  Returns 0 or a
 * negative errno, which says why there is no device, if that was asked for.
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
 * The descriptor to send to a collector, or a negative errno.  tri_backing_passed() is to be called
 * when it was sent.
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
	/*
	 * Only the collector has a descriptor of this kind then, and the kernel closes it when the
	 * collector dies.
	 */
	if (m->is_device)
		close(fd);
}

/** Why there is no arena, for the user.  The text stays valid. */
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

/** In a forked child, which has not inherited the mapping: forget the arena. */
void tri_backing_close(struct tri_mapping *m)
{
	m->fd = -1;
	m->base = NULL;
}

/*
 * Move @fd above the numbers that programs count on, but below those for which the kernel would
 * need a larger table.
 */
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
	/* A memfd is filled by pwrite(), an arena of the device through a mapping of all of it. */
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
		/* A larger file would also cause a signal, SIGXFSZ. */
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
 * Make an arena like @of, for a forked child to fill.  At least its tables are mapped at @m->base,
 * which is any address.  The descriptor is in the table of the calling thread.  Returns 0 or a
 * negative errno.
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

/**
 * Write @bytes from @from to byte @offset of an arena of tri_backing_copy().  0 or a negative
 * errno.
 */
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

/** Close an arena of tri_backing_copy() that nobody wants. */
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
 * Whether the descriptor of tri_backing_copy() is still that of this arena.  The program may have
 * closed it, and the number may be another file's.
 */
bool tri_backing_is_there(const struct tri_mapping *m)
{
	struct stat st;

	return m->fd >= 0 && !fstat(m->fd, &st) && st.st_ino == m->inode;
}

/**
 * Choose whether children that are forked from now on inherit the mapping.  0 or a negative errno.
 */
int tri_backing_inherit(const struct tri_mapping *m, bool inherit)
{
	return madvise(m->base, m->layout.file_bytes, inherit ? MADV_DOFORK : MADV_DONTFORK) ?
		       -errno :
		       0;
}
