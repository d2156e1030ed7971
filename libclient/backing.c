// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * backing.c - what an arena lives in: the only file of the library that knows
 *
 * A memfd of the arena's full size, sparse, sealed against shrinking and growing (the collector maps
 * it too, and refuses one that could be cut off under it), mapped shared and not inherited by
 * children.  Where the address space or the file size is limited, a smaller arena is tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"

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

static int open_memfd(struct tri_mapping *m, uint64_t heap_pages)
{
	int err;

	err = tri_layout_init(&m->layout, heap_pages);
	if (err)
		return err;
	m->fd = memfd_create("tricolor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -errno;
	if (ftruncate(m->fd, (off_t)m->layout.file_bytes) ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
	} else {
		m->base = map_aligned(m->fd, m->layout.file_bytes);
		if (!m->base || madvise(m->base, m->layout.file_bytes, MADV_DONTFORK))
			err = -ENOMEM;
	}
	if (err) {
		if (m->base)
			munmap(m->base, m->layout.file_bytes);
		m->base = NULL;
		close(m->fd);
		m->fd = -1;
	}
	return err;
}

/**
 * Make an arena.  Run by the agent, whose descriptor table gets the descriptor.
 * Returns 0, -ENODEV for a backing that this build or system has not, or the system's refusal.
 */
int tri_backing_open(struct tri_mapping *m, const struct tri_settings *s)
{
	const uint64_t chunk = TRI_CHUNK_PAGES;
	uint64_t pages = s->arena_bytes >> TRI_PAGE_SHIFT;
	int err;

	m->fd = -1;
	m->base = NULL;
	if (s->backing == TRI_BACKING_DEV)
		return -ENODEV;
	pages = (pages + chunk - 1) / chunk * chunk;
	for (;;) {
		err = open_memfd(m, pages);
		if (!err || err == -EINVAL || err == -ENOSYS || err == -EPERM || pages <= chunk * 16)
			return err;
		pages = pages / 2 / chunk * chunk;
	}
}

/* A forked child: the mapping did not come along. */
void tri_backing_close(struct tri_mapping *m)
{
	m->fd = -1;
	m->base = NULL;
}
