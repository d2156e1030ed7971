// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * locking.c - mlockall() locks of the heap what is used
 *
 * By itself it would have each hole of the arena become a page.  So whoever calls it gets what he
 * asked for in all other mappings, and in the arena pages are locked as they come to be
 * (MCL_ONFAULT), which for a heap is no less: fresh pages are nowhere there before.
 *
 *  1. All that there is is locked on fault.
 *  2. Each mapping but the arena is locked by itself, which brings its pages in.
 *  3. What comes later is locked as was asked.
 *
 * (An arena that is made after mlockall(MCL_FUTURE): backing.c.)  Without /proc step 2 can't be
 * done: pages are locked as they are touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attributes.h"
#include "state.h"

/*
 * At the mappings, while other threads change them: what is left then is locked as it is touched.
 */
#define LOOKS 16

static int lock_all(int flags)
{
	return (int)syscall(SYS_mlockall, flags);
}

/*
 * Lock what was read to be one mapping.  What can't be brought in, mlockall() leaves as well.
 * False: a part of it is gone by now, which another thread has unmapped; then the kernel has
 * brought in nothing of the rest.
 */
static bool lock_mapping(uintptr_t lo, uintptr_t hi)
{
	/* All that MS_ASYNC does is to say whether everything there is mapped. */
	return !mlock((void *)lo, hi - lo) || !msync((void *)lo, hi - lo, MS_ASYNC);
}

/* Lock [@lo, @hi) but for the arena.  False: it has changed since. */
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

/* A line of /proc/self/maps: "LO-HI rwxp …". */
static bool lock_line(const char *line)
{
	char *p;
	uintptr_t lo = strtoul(line, &p, 16), hi = *p == '-' ? strtoul(p + 1, &p, 16) : 0;

	/* Of the kernel's own mappings, above all others, nothing can be locked. */
	return lo >= hi || hi > (uintptr_t)INTPTR_MAX || *p != ' ' || !strncmp(p, " ---", 4) ||
	       lock_range(lo, hi);
}

/* False: some have changed since they were read about. */
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
		/* A name that is longer than all of that. */
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
	for (i = 0; i < LOOKS && !lock_mappings(); i++)
		;
	return later & MCL_FUTURE ? lock_all(later) : 0;
}
