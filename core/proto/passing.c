// SPDX-License-Identifier: LGPL-2.1-or-later
/* passing.c - see passing.h */
#include "passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int) * TRI_HELLO_FDS)];
	struct cmsghdr align;
};

int tri_pass(int sock, const struct tri_msg *m, const int *fds, size_t n, int flags)
{
	struct iovec iov = { (void *)m, sizeof(*m) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * n),
	};
	struct cmsghdr *c = &control.align;
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	sent = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	return sent == sizeof(*m) ? 0 : sent < 0 ? -errno : -EIO;
}

/* Those of one header, of which @room are kept. */
static size_t take(const struct cmsghdr *c, int *fds, size_t room)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;

	for (i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (i < room)
			fds[i] = fd;
		else
			close(fd);
	}
	return n;
}

ssize_t tri_receive(int sock, struct tri_msg *m, int flags, int *fds, size_t room, size_t *count)
{
	struct iovec iov = { m, sizeof(*m) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * room),
	};
	ssize_t n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;
	size_t i;

	*count = 0;
	for (i = 0; i < room; i++)
		fds[i] = -1;
	if (n < 0)
		return n;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			*count += take(c, fds + (*count < room ? *count : room),
				       *count < room ? room - *count : 0);
	/* The kernel closes what does not fit. */
	if (*count > room || msg.msg_flags & MSG_CTRUNC)
		*count = room + 1;
	return n;
}
