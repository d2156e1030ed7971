// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_descriptors.c - the agent's own descriptor table
 *
 * What it opens is invisible to the program, survives a program that closes everything, and is not
 * inherited by the program's children.
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
 * 0 to 2 are never anything else than standard streams, in our table as in that of a daemon that we
 * start: what is written there must not end up in an arena.  It need not be /dev/null, where there
 * is none: nothing can be read from, or written to, a folder.
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
 * How many descriptors the kernel copies at least, whatever close_range() is asked to leave out: a
 * table has room for so many from the start.
 */
#define COPIED 64

/*
 * Close a copy of a descriptor of the program's.  A message queue stays open: whichever table a
 * thread closes one in, the kernel takes back the notification that its process has asked for with
 * mq_notify().
 */
static void close_copy(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) || fs.f_type != MESSAGE_QUEUES)
		close(fd);
}

/* Close all from @fd on in the table that is ours alone by now, which has a copy of each. */
static void close_from(int fd)
{
	struct rlimit files;
	int end = 65536;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < (rlim_t)end)
		end = (int)files.rlim_cur;
	for (; fd < end; fd++)
		close_copy(fd);
}

/** With a trace, what is standard error now stays, for the trace. */
int tri_agent_own_descriptors(void)
{
	int from = tri_g.settings.prints ? 3 : 0, err, fd;
	/* Of a forked child's copy, which has been in the program's table until now. */
	int keep = tri_g.mapping.base && tri_g.mapping.fd > 2 ? tri_g.mapping.fd : -1;
	int end = keep < COPIED ? COPIED : keep + 1;

	/*
	 * What is above @end is not copied.  Where a sandbox does not know close_range(), unshare()
	 * may be allowed, which copies all.
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
