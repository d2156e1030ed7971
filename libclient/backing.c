// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * backing.c - what an arena lives in: the only file of the library that knows
 *
 *  - An arena of /dev/tricolor, if the module is there in our version: what we touch is charged to us
 *    alone.  The collector gets a descriptor of its own kind, which adds no memory; the owner's stays
 *    with the agent.
 *  - Else a memfd of the arena's full size, sparse, sealed against shrinking and growing (the collector
 *    maps it too, and refuses one that could be cut off under it).
 *
 * Either is mapped shared, and not inherited by children.  Where the address space, the file size, or
 * what a user may have is limited, a smaller arena is tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tricolor.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"

#define DEVICE "/dev/tricolor"

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
	if (mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
		 0) == MAP_FAILED) {
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

static int open_largest(struct tri_mapping *m, uint64_t bytes,
			int (*open_file)(struct tri_mapping *m))
{
	const uint64_t chunk = TRI_CHUNK_PAGES;
	uint64_t pages = ((bytes >> TRI_PAGE_SHIFT) + chunk - 1) / chunk * chunk;
	int err;

	for (;;) {
		err = tri_layout_init(&m->layout, pages);
		if (!err)
			err = open_file(m);
		if (!err)
			return 0;
		give_up(m);
		if (err == -EINVAL || err == -ENOSYS || err == -EPERM || err == -EACCES ||
		    pages <= chunk * 16)
			return err;
		pages = pages / 2 / chunk * chunk;
	}
}

/**
 * Make an arena.  Run by the agent, whose descriptor table gets the descriptor.
 * Returns 0, or a negative errno: why there is no device, if one was asked for, or the system's refusal.
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
