// SPDX-License-Identifier: GPL-2.0-only
/*
 * peer.c - the process at the other end of a connection
 *
 * SO_PEERCRED tells the PID of the process that has connected.  When that process ends, another one
 * may get the PID while a third one has the connection.  So
 *
 *  1. the connection's own pidfd is asked for (SO_PEERPIDFD, Linux 6.5), which stays that of this
 *     process.  On older kernels pidfd_open() of the PID is right unless the process has ended by
 *     then;
 *  2. what is found by the PID, in /proc or a control group, counts only if the process still lives
 *     afterwards, as then the PID was its own all the time.
 *
 * A pidfd could tell the process's group of version 2 as well (PIDFD_GET_INFO).  But the kernel
 * tells nothing about a process of another PID namespace, and for all others /proc has the group.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int peer_open(int sock, pid_t pid)
{
	int fd;
	socklen_t len = sizeof(fd);

	if (!getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len)) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		return fd;
	}
	/* Up to Linux 6.15 EINVAL says that it has been waited for. */
	if (errno == ESRCH || errno == EINVAL)
		return -ESRCH;
	if (errno != ENOPROTOOPT || pid <= 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

bool peer_lives(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	/* Without a pidfd it is taken to live. */
	return pidfd < 0 ? pidfd != -ESRCH : poll(&p, 1, 0) <= 0;
}
