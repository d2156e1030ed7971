// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * heaps.c - how many heaps a control group has
 *
 * Heaps in one group share what the group may still take (grant.c).  Each heap has to know how many
 * there are, even while no collector splits the limit among them.  The collector may have died, or
 * may not have been elected yet.  So:
 *
 *  1. A heap locks one byte of the file of its group's limit, at an offset chosen at random.  It
 *     does the same in each group above.  The lock is a read lock, so it excludes nobody.
 *  2. To find out how many heaps there are, a heap counts the locks.
 *
 * The kernel keeps the locks with the file itself.  So all users and all namespaces see them.  They
 * vanish when the process ends, in whatever way, or executes another program.  They belong to the
 * open file (F_OFD_SETLK), so they stay if another descriptor of the same file is closed.
 *
 * Trust: nobody can remove the lock of another process, so the number is never too small.  Any
 * process that may read the file can lock many bytes, so the number may be too large.  Then heaps
 * look at the group more often, and take the last of its memory more slowly.  At most TRI_HEAPS_MAX
 * heaps are counted, which bounds both.  A lock of more than one byte is not that of a heap.  It
 * may hide the locks of heaps within it, since the kernel names the oldest.  Then TRI_HEAPS_MAX
 * heaps are assumed.  A process may also take thousands of locks to make counting slow, because the
 * kernel goes through all of them for each question.  So if a count takes longer than SLOW_CPU_NS,
 * the locks of this open file are not counted again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../core/system/clock.h"
#include "heaps.h"
#include "../base/state.h"

/*
 * A hundred times what it takes to count 16 heaps, and a hundredth of the time for which a
 * measurement is valid.  This is CPU time, since an agent that gets no CPU is not slow because of
 * locks.
 */
#define SLOW_CPU_NS 1000000ull

#define PLACES (1ull << 62)		/* two that draw the same count as one, which does not
					 * happen */

static off_t draw(void)
{
	uint64_t place;

	/*
	 * Soon after a machine has booted there may be no random numbers.  Then this is used, which
	 * differs from process to process as far as possible.
	 */
	if (getrandom(&place, sizeof(place), GRND_NONBLOCK) != sizeof(place))
		place = (tri_now_ns() * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)gettid() << 40);
	return (off_t)(place % PLACES);
}

/**
 * Announce this heap for as long as @fd, the file of a group's limit, is open.  False: the system
 * does not allow locks.  Agent only.
 */
bool tri_heaps_announce(int fd)
{
	struct flock lock = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = draw(), .l_len = 1
	};

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

/* Count the locks of other heaps in [@from, @to), up to @most. */
static unsigned int locks(int fd, off_t from, off_t to, unsigned int most)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from
	};
	unsigned int n;
	off_t end;

	if (from >= to || !most)
		return 0;
	/* The kernel names one of the locks that a write lock of the whole range would wait for. */
	if (fcntl(fd, F_OFD_GETLK, &lock))
		return most;
	if (lock.l_type == F_UNLCK)
		return 0;
	if (lock.l_len != 1)
		return most;
	end = lock.l_start + 1;
	n = 1 + locks(fd, from, lock.l_start, most - 1);
	return n + locks(fd, end, to, most - n);
}

/**
 * Count the heaps in a group, up to TRI_HEAPS_MAX.  The caller's heap, which was announced by @fd,
 * is one of them.  *@slow belongs to @fd and is false at first.  It becomes true if counting takes
 * too long, and from then on the result is TRI_HEAPS_MAX.  Agent only.
 */
unsigned int tri_heaps_count(int fd, bool *slow)
{
	uint64_t began;
	unsigned int n;

	if (*slow)
		return TRI_HEAPS_MAX;
	began = clock_cpu_ns();
	n = 1 + locks(fd, 0, (off_t)PLACES, TRI_HEAPS_MAX - 1);
	*slow = clock_cpu_ns() - began > SLOW_CPU_NS;
	return n;
}
