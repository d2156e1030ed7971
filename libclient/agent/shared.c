// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shared.c - whether a shared collector is wanted, and a socket for it
 *
 * For the agent only.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "connect.h"
#include "../base/error.h"
#include "../base/state.h"
#include "../base/watched.h"

#define CONNECT_S 1			/* its queue of connections may be full */

static uint64_t not_before_ns;		/* the shared one is not asked until then */

/** Do not try the shared collector before @ns. */
void tri_shared_put_off(uint64_t ns)
{
	not_before_ns = ns;
}

bool tri_shared_is_put_off(void)
{
	return tri_now_ns() < not_before_ns;
}

/** The shared collector answers again: try it at the next opportunity. */
void tri_shared_is_back(void)
{
	not_before_ns = 0;
	tri_complaint_over(TRI_COMPLAINT_SHARED);
}

/** Whether there may be a shared collector at all. */
bool tri_shared_is_wanted(void)
{
	const char *path = tri_g.settings.socket;

	return *path && strcmp(path, "off") && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

/** Whether we may start a tricolord. */
bool tri_may_spawn(void)
{
	return !tri_on_valgrind() && strcmp(tri_g.settings.daemon, "off") != 0;
}

/** Make a socket for a connection to the shared collector.  @flags: SOCK_NONBLOCK, or 0. */
int tri_shared_socket(int flags)
{
	struct timeval patience = { CONNECT_S, 0 };
	int fd;

	if (!tri_shared_is_wanted())
		return -ENOENT;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	/* This bounds connect(), once the path has led to a socket, and each send. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}
