// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * heaps.c - how many heaps a control group has
 *
 * Heaps in one group share what the group may still take (grant.c).  Each has to know how many
 * they are, also when no collector splits the limit among them, because it has died or has not been
 * elected yet.  So:
 *
 *  1. A heap locks one byte of the file of its group's limit, at a place that it has drawn at
 *     random, and does the same in each group above.  It is a read lock: it excludes nobody.
 *  2. Who wants to know how many heaps there are counts the locks.
 *
 * The kernel keeps the locks with the file itself.  So they are seen by all users and in all
 * namespaces, and they go when the process ends, however it ends, or executes another program.
 * They belong to the open file (F_OFD_SETLK), so that it does not matter who else closes a
 * descriptor of the same file.
 *
 * Trust: nobody can take away the lock of another, so the number is never too small.  Who may read
 * the file can lock as many bytes as it likes, so the number may be too large.  Then heaps look at
 * the group more often, and take the last of its memory more slowly.  More than TRI_HEAPS_MAX are
 * not counted, which bounds both.  A lock of many bytes is no heap's, and hides those that lie in
 * it: the kernel names the one that was there first.  Then as many heaps are taken to be there as
 * are counted at most.  Nor can who takes thousands of locks make counting dear: the kernel goes
 * through all of them for each question, and a count that takes longer than SLOW_CPU_NS is the last
 * one of this file for as long as it is open.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../core/system/clock.h"
#include "heaps.h"
#include "../base/state.h"

/*
 * A hundred times what 16 heaps take, and a hundredth of the time for which a look holds.  CPU
 * time: who has no CPU meanwhile has not been made slow by anybody.
 */
#define SLOW_CPU_NS 1000000ull

#define PLACES (1ull << 62)		/* two that draw the same count as one, which does not
					 * happen */

static off_t draw(void)
{
	uint64_t place;

	/*
	 * Early in the life of a machine there may be nothing random: then this is as different as
	 * it gets.
	 */
	if (getrandom(&place, sizeof(place), GRND_NONBLOCK) != sizeof(place))
		place = (tri_now_ns() * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)gettid() << 40);
	return (off_t)(place % PLACES);
}

/**
 * Say that there is a heap, as long as @fd, the file of a group's limit, is open.  False: the
 * system does not allow that.  Agent.
 */
bool tri_heaps_announce(int fd)
{
	struct flock lock = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = draw(), .l_len = 1
	};

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

/* Locks of others from place @from to before @to; if there are more than @most, as many. */
static unsigned int locks(int fd, off_t from, off_t to, unsigned int most)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from
	};
	unsigned int n;
	off_t end;

	if (from >= to || !most)
		return 0;
	/* The kernel names any one that a lock of all of it would wait for. */
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
 * Heaps in the group, the caller's included, which has said that it is there by @fd; at most
 * TRI_HEAPS_MAX.  @slow, false at first, belongs to @fd: it becomes true if counting takes too
 * long, and from then on there are TRI_HEAPS_MAX.  Agent.
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
