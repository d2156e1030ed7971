// SPDX-License-Identifier: GPL-2.0-only
/* channel.c - messages to and from a client: see channel.h */
#include "channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "core/proto/passing.h"
#include "core/proto/version.h"
#include "daemon/process/config.h"
#include "daemon/process/log.h"

bool channel_send(struct arena *a, const struct tri_msg *msg)
{
	return send(a->client.sock, msg, sizeof(*msg), MSG_NOSIGNAL) == sizeof(*msg);
}

bool channel_refuse(struct arena *a, int err, const char *fmt, ...)
{
	struct tri_msg msg = { .type = TRI_MSG_REFUSE,
			       .version = TRI_PROTO_ID,
			       .refuse.error = (uint64_t)err };
	va_list args;

	va_start(args, fmt);
	vsnprintf(msg.text, sizeof(msg.text), fmt, args);
	va_end(args);
	log_line("%s: refused: %s", a->client.name, msg.text);
	channel_send(a, &msg);
	return false;
}

struct tri_msg channel_welcome(void)
{
	return (struct tri_msg){
		.type = TRI_MSG_WELCOME,
		.version = TRI_PROTO_ID,
		.welcome.pid = (uint64_t)getpid(),
		.text = TRI_VERSION,
	};
}

void channel_listen(const struct arena *a, struct pollfd *p, short events)
{
	p[POLL_CLIENT] = (struct pollfd){ .fd = a->client.sock, .events = events };
	p[POLL_ORDERS] = (struct pollfd){ .fd = a->registry->order_fd, .events = POLLIN };
	p[POLL_POLICY] = (struct pollfd){ .fd = a->linked.sock, .events = POLLIN };
}

bool channel_poll(struct arena *a, struct pollfd *p, nfds_t n, const struct timespec *timeout)
{
	nfds_t i;
	int ms = timeout ? (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000) :
			   -1;

	if (ppoll(p, n, timeout, NULL) >= 0)
		return true;
	/* The client's sandbox, which a private collector inherits, may know poll() only. */
	if ((errno == EPERM || errno == ENOSYS) && poll(p, n, ms) >= 0)
		return true;
	for (i = 0; i < n; i++)
		p[i].revents = 0;
	if (errno == EINTR)
		return true;
	log_warning("%s: gave up: can't wait for it: ppoll: %s", a->client.name, strerror(errno));
	return false;
}

/* Keep link and board, @fds, of a POLICY message for linked_begin(); close other descriptors. */
static void keep_given(struct arena *a, const struct tri_msg *msg, const int *fds)
{
	bool policy = msg->type == TRI_MSG_POLICY && config_is_private();
	int i;

	for (i = 0; i < 2; i++) {
		int old = policy ? a->linked.given[i] : fds[i];

		if (old >= 0)
			close(old);
		if (policy)
			a->linked.given[i] = fds[i];
	}
}

ssize_t channel_receive(struct arena *a, struct tri_msg *msg)
{
	size_t count;
	int fds[2];
	ssize_t n = tri_receive(a->client.sock, msg, MSG_DONTWAIT, fds, 2, &count);

	if (n < 0)
		return n;
	if (n != sizeof(*msg))
		msg->type = 0;
	keep_given(a, msg, fds);
	if (msg->type != TRI_MSG_POLICY || !config_is_private())
		return n;
	errno = EAGAIN;
	return -1;
}
