// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mappings.c - what /proc/self/maps says; for the agent
 *
 *	55d0c0a00000-55d0c0c00000 rw-p 00000000 00:00 0      [heap]
 *	from        -to           ...p offset   device inode name
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "object.h"

struct mapping {
	uintptr_t lo, hi;
	uint64_t offset, inode;
	dev_t device;
	bool shared;
};

static struct mapping *mappings;
static size_t count, room;
static dev_t shmem_device;		/* 0: not known yet */

/* The device of the kernel's own tmpfs, which a memfd is on. */
static dev_t find_shmem_device(void)
{
	int fd = memfd_create("tricolor", MFD_CLOEXEC);
	dev_t device = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	if (!fstat(fd, &st))
		device = st.st_dev;
	close(fd);
	return device;
}

/* Read a line.  False: it is not of the form above. */
static bool parse(const char *line, struct mapping *m)
{
	unsigned int major_number, minor_number;
	char *p;

	m->lo = strtoul(line, &p, 16);
	if (*p++ != '-')
		return false;
	m->hi = strtoul(p, &p, 16);
	/* " rwxp " */
	if (strnlen(p, 6) < 6)
		return false;
	m->shared = p[4] == 's';
	m->offset = strtoull(p + 6, &p, 16);
	major_number = (unsigned int)strtoul(p, &p, 16);
	if (*p++ != ':')
		return false;
	minor_number = (unsigned int)strtoul(p, &p, 16);
	m->device = makedev(major_number, minor_number);
	m->inode = strtoull(p, &p, 10);
	return true;
}

static bool put(const char *line)
{
	if (count == room) {
		void *more = tri_array_grow(mappings, &room, sizeof(*mappings), count);

		if (!more)
			return false;
		mappings = more;
	}
	return parse(line, &mappings[count]) && ++count;
}

/* Read all lines.  If one does not fit into the buffer, the end of a name is left out. */
static bool read_lines(int fd)
{
	static char text[16384];
	size_t have = 0;
	bool skipping = false;
	ssize_t n;

	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		char *line = text, *end;

		have += (size_t)n;
		text[have] = 0;
		while ((end = strchr(line, '\n'))) {
			*end = 0;
			if (!skipping && !put(line))
				return false;
			skipping = false;
			line = end + 1;
		}
		have -= (size_t)(line - text);
		if (have == sizeof(text) - 1) {
			if (!skipping && !put(line))
				return false;
			skipping = true;
			have = 0;
		}
		memmove(text, line, have);
	}
	return !n;
}

bool tri_mappings_read(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	bool ok;

	count = 0;
	if (fd < 0)
		return false;
	ok = read_lines(fd);
	close(fd);
	if (!ok)
		count = 0;
	return ok;
}

/* The mapping that @at is in, or NULL.  They are in ascending order. */
static const struct mapping *find(uintptr_t at)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (at < mappings[middle].lo)
			hi = middle;
		else if (at >= mappings[middle].hi)
			lo = middle + 1;
		else
			return &mappings[middle];
	}
	return NULL;
}

bool tri_mapping_at(uintptr_t at, enum tri_mapping_kind *kind, uintptr_t *hi)
{
	const struct mapping *m = find(at);

	if (!m)
		return false;
	if (!shmem_device)
		shmem_device = find_shmem_device();
	*hi = m->hi;
	*kind = TRI_MAPPING_OTHER;
	if (!m->shared && !m->inode)
		*kind = TRI_MAPPING_PRIVATE;
	else if (m->shared && shmem_device && m->device == shmem_device)
		*kind = TRI_MAPPING_SHMEM;
	return true;
}

uintptr_t tri_mapping_file_start(uintptr_t at)
{
	const struct mapping *m = find(at), *start;

	if (!m || !m->inode)
		return 0;
	for (start = m;; start--) {
		if (start->inode == m->inode && start->device == m->device && !start->offset)
			return start->lo;
		if (start == mappings)
			return 0;
	}
}
