// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * queue_pipe.c - a descriptor that can be read while cleanups or finalizers are queued
 *
 * It is the reading end of a pipe in which there is one byte while something is queued.  The agent
 * has both ends in its own descriptor table, puts the byte in, and takes it out.  So the program
 * can close its descriptor at any time, as a daemon closes all of them, and nobody writes to what
 * it opens next under the same number.
 *
 * The program gets a descriptor of its own by opening the agent's reading end in /proc.
 */
#include "queue_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../core/system/futex.h"
#include "../base/error.h"
#include "../base/state.h"
#include "../heap/specials.h"
#include "agent.h"

#define LOOK_NS 100000000

static int ends[2] = { -1, -1 };	/* agent */
static tri_au32 made;			/* futex: 1 + the reading end; FAILED | errno */
#define FAILED (1u << 31)

static bool make(void)
{
	if (ends[0] >= 0)
		return true;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		tri_write_release(&made, FAILED | (uint32_t)errno);
		tri_futex_wake(&made);
		return false;
	}
	tri_write_release(&made, 1 + (uint32_t)ends[0]);
	tri_futex_wake(&made);
	return true;
}

void tri_queue_pipe_update(void)
{
	char byte = 0;
	int n = 0;

	if (likely(!tri_read(&tri_specials_watched)) || !make() || ioctl(ends[0], FIONREAD, &n))
		return;
	/* Neither fails: there is room for one byte, or there is one unless the program reads. */
	if (tri_specials_queued() && !n)
		n = (int)write(ends[1], &byte, 1);
	else if (!tri_specials_queued() && n)
		n = (int)read(ends[0], &byte, 1);
}

int tri_queue_pipe_open(uint64_t until_ns)
{
	char path[64];
	uint32_t m;
	int fd;

	/* A failure is not for ever: the agent tries again. */
	m = tri_read_acquire(&made);
	if (m & FAILED)
		atomic_compare_exchange_strong(&made, &m, 0);
	tri_write(&tri_specials_watched, 1);
	while (!(m = tri_read_acquire(&made)) && tri_now_ns() < until_ns) {
		tri_agent_wake(TRI_WAKE_QUEUE);
		tri_futex_wait(&made, 0, LOOK_NS);
	}
	if (!m)
		return tri_fail(ETIMEDOUT, "tricolor: tri_finalizer_fd(): the library's thread does "
					   "not answer; is the process stopped?");
	if (m & FAILED)
		return tri_fail((int)(m & ~FAILED), "tricolor: tri_finalizer_fd(): no pipe: %s",
				strerror((int)(m & ~FAILED)));
	snprintf(path, sizeof(path), "/proc/self/task/%d/fd/%u", (int)tri_g.agent_tid, m - 1);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return tri_fail(errno, "tricolor: tri_finalizer_fd(): can't open %s: %s; /proc is needed",
				path, strerror(errno));
	return fd;
}

void tri_queue_pipe_reset(void)
{
	/* The numbers are those of the table of the parent's agent. */
	ends[0] = ends[1] = -1;
	tri_write(&made, 0);
}
