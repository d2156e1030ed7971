// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * conn.c - one connection: bytes in, replies out
 *
 *  1. Send what waits.  If the socket takes no more, wait for that before anything else.
 *  2. Look at each complete line that is in the buffer, as long as the replies have room.
 *  3. Read on.  What belongs to a value is read straight into its entry.
 *
 * A connection that always has more to read gives way to others after READS_MAX rounds. epoll
 * reports again that it is ready.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvcache.h"

#define READS_MAX 16

enum outcome { GOES_ON, BLOCKED, OVER };

TRI_TYPE(conn_type, struct conn, filling, part);

struct conn *conn_new(int fd)
{
	struct conn *conn = tri_alloc_typed(&conn_type, 1);

	if (conn)
		conn->fd = fd;
	return conn;
}

void conn_reply(struct conn *conn, struct text text)
{
	uint32_t at = (conn->first + conn->parts++) % PARTS_MAX;

	tri_store(&conn->part[at], text.bytes);
	conn->part_length[at] = text.length;
}

/*
 * ---- out --------------------------------------------------------------------------------------
 */

static void has_sent(struct conn *conn, size_t bytes)
{
	while (conn->parts && bytes >= conn->part_length[conn->first] - conn->sent) {
		bytes -= conn->part_length[conn->first] - conn->sent;
		tri_store(&conn->part[conn->first], NULL);
		conn->first = (conn->first + 1) % PARTS_MAX;
		conn->parts--;
		conn->sent = 0;
	}
	conn->sent += (uint32_t)bytes;
}

static enum outcome flush(struct conn *conn)
{
	struct iovec piece[PARTS_MAX];
	struct msghdr message = { .msg_iov = piece };
	ssize_t sent;

	while (conn->parts) {
		for (uint32_t i = 0; i < conn->parts; i++) {
			uint32_t at = (conn->first + i) % PARTS_MAX, from = i ? 0 : conn->sent;

			piece[i].iov_base = (char *)conn->part[at] + from;
			piece[i].iov_len = conn->part_length[at] - from;
		}
		message.msg_iovlen = conn->parts;
		sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? BLOCKED : OVER;
		has_sent(conn, (size_t)sent);
	}
	return GOES_ON;
}

/*
 * ---- in ---------------------------------------------------------------------------------------
 */

static void take(struct conn *conn, uint32_t bytes)
{
	conn->in_length -= bytes;
	memmove(conn->in, conn->in + bytes, conn->in_length);
}

/* The part of a value that came with the line. */
static void take_value(struct conn *conn)
{
	uint64_t want = conn->filling ? conn->filling->text_length - conn->filled : conn->skip;
	uint32_t bytes = want < conn->in_length ? (uint32_t)want : conn->in_length;

	if (conn->filling) {
		memcpy(conn->filling->text + conn->filled, conn->in, bytes);
		conn->filled += bytes;
		if (conn->filled == conn->filling->text_length)
			protocol_filled(conn);
	} else {
		conn->skip -= bytes;
	}
	take(conn, bytes);
}

/* Returns false if there is no complete line. */
static bool take_line(struct conn *conn)
{
	char *end = memchr(conn->in, '\n', conn->in_length);
	char line[LINE_BYTES_MAX];
	uint32_t length;

	if (!end && conn->in_length == sizeof(conn->in)) {
		conn_reply(conn, CONSTANT("CLIENT_ERROR line too long\r\n"));
		conn->closing = true;
	}
	if (!end)
		return false;
	length = (uint32_t)(end - conn->in);
	memcpy(line, conn->in, length);
	line[length] = 0;
	if (length && line[length - 1] == '\r')
		line[length - 1] = 0;
	take(conn, length + 1);
	protocol_line(conn, line);
	return true;
}

/* Execute all requests that have arrived. */
static void work(struct conn *conn)
{
	while (!conn->closing && conn_has_room(conn)) {
		if (conn->in_length && (conn->filling || conn->skip))
			take_value(conn);
		else if (!take_line(conn))
			return;
	}
}

static enum outcome receive(struct conn *conn)
{
	char *to = conn->in + conn->in_length;
	size_t room = sizeof(conn->in) - conn->in_length;
	ssize_t got;

	if (conn->filling) {
		to = conn->filling->text + conn->filled;
		room = conn->filling->text_length - conn->filled;
	}
	do
		got = read(conn->fd, to, room);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? BLOCKED : OVER;
	if (!got)
		conn->ended = true;
	else if (!conn->filling)
		conn->in_length += (uint32_t)got;
	else if ((conn->filled += (uint32_t)got) == conn->filling->text_length)
		protocol_filled(conn);
	return GOES_ON;
}

bool conn_serve(struct conn *conn)
{
	enum outcome outcome;

	for (int reads = 0;; reads++) {
		do {
			outcome = flush(conn);
			if (outcome == GOES_ON)
				work(conn);
		} while (outcome == GOES_ON && conn->parts);
		if (outcome == OVER || (outcome == GOES_ON && (conn->closing || conn->ended)))
			return false;
		conn->events = outcome == BLOCKED ? EPOLLOUT : EPOLLIN;
		if (outcome == BLOCKED || reads == READS_MAX)
			return true;
		outcome = receive(conn);
		if (outcome != GOES_ON)
			return outcome == BLOCKED;
	}
}
