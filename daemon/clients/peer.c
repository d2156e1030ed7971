// SPDX-License-Identifier: GPL-2.0-only
/*
 * peer.c - the process at the other end of a connection
 *
 * SO_PEERCRED tells the number of the process that has connected.  When that process ends, another
 * one may get the number while a third holds the connection.  So
 *
 *  1. the connection's own pidfd is asked for (SO_PEERPIDFD, Linux 6.5), which stays that process's
 *     whatever becomes of its number.  Older kernels have pidfd_open() of the number, which is
 *     right unless the process has ended by then;
 *  2. what is found by the number, in /proc or a control group, counts only if that process is
 *     still there afterwards: then the number was its own all the time.
 *
 * A pidfd could tell its process's group of version 2 as well (PIDFD_GET_INFO).  But the kernel
 * tells nothing about a process of another PID namespace, and about any other /proc tells it.
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
	/* EINVAL: it has been waited for, says Linux up to 6.15. */
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

	/* Without one nothing is known against it. */
	return pidfd < 0 ? pidfd != -ESRCH : poll(&p, 1, 0) <= 0;
}
