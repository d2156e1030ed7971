// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * listen.c - the socket that clients connect to
 *
 * The server prints on standard output where it listens.  A program that starts it with port 0
 * reads the port there, and that line is the event to wait for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvcache.h"

#define BACKLOG 512

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un path;
};

static int complain(const char *what, const char *where)
{
	fprintf(stderr, "kvcache: can't %s %s: %s\n", what, where, strerror(errno));
	return -1;
}

static socklen_t parse(union address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, config->address, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(config->port);
		return sizeof(address->v4);
	}
	if (inet_pton(AF_INET6, config->address, &address->v6.sin6_addr) == 1) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(config->port);
		return sizeof(address->v6);
	}
	return 0;
}

/* A dead server has left this socket, so nobody answers on it. */
static bool is_stale(const union address *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused = fd >= 0 && connect(fd, &address->any, size) && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return refused;
}

static int open_path(void)
{
	union address address = { .path.sun_family = AF_UNIX };
	int fd;

	if (strlen(config->path) >= sizeof(address.path.sun_path)) {
		errno = ENAMETOOLONG;
		return complain("listen on", config->path);
	}
	strcpy(address.path.sun_path, config->path);
	if (is_stale(&address, sizeof(address.path)))
		unlink(config->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, &address.any, sizeof(address.path)) || listen(fd, BACKLOG)) {
		complain("listen on", config->path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	printf("kvcache: listening on %s\n", config->path);
	return fd;
}

static void say_port(int fd)
{
	union address address;
	socklen_t size = sizeof(address);
	unsigned int port = 0;

	if (!getsockname(fd, &address.any, &size))
		port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port :
			     address.v6.sin6_port);
	printf("kvcache: listening on %s port %u\n", config->address, port);
}

static int open_port(void)
{
	union address address;
	socklen_t size = parse(&address);
	int fd, one = 1;

	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, &address.any, size) || listen(fd, BACKLOG)) {
		complain("listen on", config->address);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	say_port(fd);
	return fd;
}

int listen_open(void)
{
	return config->path ? open_path() : open_port();
}

void listen_remove(void)
{
	if (config->path)
		unlink(config->path);
}
