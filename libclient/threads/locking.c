// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * locking.c - mlockall() locks those pages of the heap that are used
 *
 * By itself mlockall() would make each hole of the arena a page.  So it does what was asked for in
 * all other mappings, and in the arena it locks pages when they get memory (MCL_ONFAULT).  For a
 * heap this is no less, since fresh pages have no memory before in any case.
 *
 *  1. All mappings are locked on fault.
 *  2. Each mapping but the arena is locked by itself, which gives its pages memory.
 *  3. Mappings that come later are locked as was asked for.
 *
 * backing.c is about an arena that is made after mlockall(MCL_FUTURE).  Without /proc step 2 can't
 * be done, and pages are locked when they are touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/attributes.h"
#include "../base/state.h"

/*
 * How often the mappings are read while other threads change them.  What is not locked then is
 * locked when it is touched.
 */
#define READS 16

static int lock_all(int flags)
{
	return (int)syscall(SYS_mlockall, flags);
}

/*
 * Lock a range that was one mapping when it was read.  If a page can't get memory that is no error,
 * as with mlockall().  False: another thread has unmapped a part meanwhile, and then the kernel has
 * given no memory to the rest.
 */
static bool lock_mapping(uintptr_t lo, uintptr_t hi)
{
	/* MS_ASYNC does nothing but say whether everything there is mapped. */
	return !mlock((void *)lo, hi - lo) || !msync((void *)lo, hi - lo, MS_ASYNC);
}

/* Lock [@lo, @hi) but for the arena.  False: it has changed since it was read. */
static bool lock_range(uintptr_t lo, uintptr_t hi)
{
	uintptr_t arena = (uintptr_t)tri_g.mapping.base,
		  end = arena + tri_g.mapping.layout.file_bytes;
	bool ok = true;

	if (lo < arena)
		ok = lock_mapping(lo, hi < arena ? hi : arena);
	if (hi > end)
		ok &= lock_mapping(lo > end ? lo : end, hi);
	return ok;
}

/* Lock what a line of /proc/self/maps is about, which begins with "LO-HI rwxp ". */
static bool lock_line(const char *line)
{
	char *p;
	uintptr_t lo = strtoul(line, &p, 16), hi = *p == '-' ? strtoul(p + 1, &p, 16) : 0;

	/* The kernel's own mappings, above all others, can't be locked. */
	return lo >= hi || hi > (uintptr_t)INTPTR_MAX || *p != ' ' || !strncmp(p, " ---", 4) ||
	       lock_range(lo, hi);
}

/* Lock all mappings but the arena.  False: some have changed since they were read. */
static bool lock_mappings(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char text[4096 + 512], *line, *end;
	size_t have = 0;
	bool ok = true;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		have += (size_t)n;
		text[have] = 0;
		for (line = text; (end = strchr(line, '\n')); line = end + 1)
			ok &= lock_line(line);
		have = strlen(line);
		memmove(text, line, have + 1);
		/* The line has a name that is longer than the buffer. */
		if (have == sizeof(text) - 1) {
			ok &= lock_line(text);
			have = 0;
		}
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

TRI_EXPORT int mlockall(int flags)
{
	const int later = flags & (MCL_FUTURE | MCL_ONFAULT);
	int i;

	if (!tri_is_ready() || !(flags & MCL_CURRENT) || flags & MCL_ONFAULT ||
	    flags & ~(MCL_CURRENT | MCL_FUTURE))
		return lock_all(flags);
	if (lock_all(MCL_CURRENT | MCL_ONFAULT))
		return -1;
	for (i = 0; i < READS && !lock_mappings(); i++)
		;
	return later & MCL_FUTURE ? lock_all(later) : 0;
}
