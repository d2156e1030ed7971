// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_descriptors.c - the agent's own descriptor table
 *
 * The program does not see what the agent opens, and can't close it.  The program's children do not
 * inherit it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent.h"
#include "../base/error.h"
#include "../base/state.h"

/*
 * Fill those of the descriptors 0 to 2 that are free.  They must be standard streams, in the
 * agent's table and in that of a daemon that it starts, so that what is written to them does not
 * end up in an arena.  Where there is no /dev/null, a folder will do: it can't be read or written.
 */
static bool fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			fd = open("/", O_RDONLY | O_DIRECTORY);
	} while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The file system of POSIX message queues, MQUEUE_MAGIC in statfs(2). */
#define MESSAGE_QUEUES 0x19800202

/*
 * How many descriptors the kernel copies at least, even if close_range() is asked to leave them
 * out.  A new table has room for so many.
 */
#define COPIED 64

/*
 * Close a copy of a descriptor of the program's, unless it is a message queue.  If any thread
 * closes a message queue, in whatever table, the kernel cancels the notification that the process
 * has asked for with mq_notify().
 */
static void close_copy(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) || fs.f_type != MESSAGE_QUEUES)
		close(fd);
}

/* Close all descriptors from @fd on in the agent's own table, which has a copy of each. */
static void close_from(int fd)
{
	struct rlimit files;
	int end = 65536;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < (rlim_t)end)
		end = (int)files.rlim_cur;
	for (; fd < end; fd++)
		close_copy(fd);
}

/** Give the agent its own table.  If it prints (for a trace), standard error stays in it. */
int tri_agent_own_descriptors(void)
{
	int from = tri_g.settings.prints ? 3 : 0, err, fd;
	/* The arena of a forked child's copy: so far it is in the program's table. */
	int keep = tri_g.mapping.base && tri_g.mapping.fd > 2 ? tri_g.mapping.fd : -1;
	int end = keep < COPIED ? COPIED : keep + 1;

	/*
	 * Descriptors from @end on are not copied.  If a sandbox does not know close_range(), it
	 * may allow unshare(), which copies all of them.
	 */
	if (close_range((unsigned int)end, ~0u, CLOSE_RANGE_UNSHARE)) {
		err = -errno;
		if (unshare(CLONE_FILES)) {
			tri_complain(
				TRI_COMPLAINT_NO_COLLECTOR, false,
				"tricolor: can't have descriptors "
				"apart from the program's: close_range: %s, unshare: %s; let the sandbox "
				"allow close_range(2)",
				strerror(-err), strerror(errno));
			return err;
		}
		close_from(end);
	}
	for (fd = from; fd < end; fd++)
		if (fd != keep)
			close_copy(fd);
	if (from) {
		close(0);
		close(1);
	}
	if (fill_standard())
		return 0;
	err = -errno;
	tri_complain(TRI_COMPLAINT_NO_COLLECTOR, false, "tricolor: can't open /dev/null, nor /: %s",
		     strerror(-err));
	return err;
}
