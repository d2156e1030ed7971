// SPDX-License-Identifier: GPL-2.0-only
/*
 * listen.c - the sockets that a collector is reached at
 *
 * A shared collector listens at a path.  A private one serves no clients by a socket of its own,
 * but answers its user's requests at an abstract address, which leaves no file behind.  Any process
 * may take that address, so each side checks the other's credentials.
 */
#include "listen.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/proto/control.h"
#include "accept.h"
#include "daemon/process/log.h"
#include "daemon/process/thread_start.h"

#define BACKLOG 128
#define STACK_BYTES (64u << 10)
#define ATTEMPTS 8

static bool address(const char *path, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path)) {
		log_error("%s: the path of a socket has at most %zu characters", path,
			  sizeof(addr->sun_path) - 1);
		return false;
	}
	strcpy(addr->sun_path, path);
	return true;
}

/* Remove a socket file at which nobody listens, as it was left by a daemon that is dead. */
static bool stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) &&
		    errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead;
}

static void complain(const char *path, int err)
{
	log_error("can't listen at %s: %s%s", path, strerror(err),
		  err == ENOENT ? "; make the folder, or give another --socket" :
		  err == EADDRINUSE ? "; is another tricolord running?" : "");
}

int listen_at(const char *path)
{
	struct sockaddr_un addr;
	int fd;

	if (!address(path, &addr))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && stale(&addr))
		unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, BACKLOG)) {
		complain(path, errno);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* All who may reach the folder may be clients. */
	chmod(path, 0666);
	return fd;
}

bool listen_check(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct sockaddr_un addr;
	const char *folder;
	struct stat st;

	if (!address(path, &addr))
		return false;
	strcpy(copy, path);
	folder = dirname(copy);
	if (stat(folder, &st)) {
		log_error("the socket's folder %s: %s; make it, or give another socket", folder,
			  strerror(errno));
		return false;
	}
	if (access(folder, W_OK | X_OK)) {
		log_error("the socket's folder %s: %s", folder, strerror(errno));
		return false;
	}
	if (!access(path, F_OK) && !stale(&addr)) {
		complain(path, EADDRINUSE);
		return false;
	}
	return true;
}

/* Wait until the address is free, as the collector before us, which has it, is just ending. */
static void wait_for(const struct sockaddr_un *addr, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	if (!connect(fd, (const struct sockaddr *)addr, len))
		poll(&p, 1, -1);
	close(fd);
}

static void *private_thread(void *arg)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), sock, attempts = 0;

	len += (socklen_t)snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "%s%d",
				   CONTROL_PRIVATE_PREFIX, (int)(intptr_t)arg);
	while (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len)) {
		/*
		 * Without a pause, a process that takes it and closes connections would keep us
		 * busy.
		 */
		if (errno != EADDRINUSE || ++attempts == ATTEMPTS) {
			close(fd);
			return NULL;
		}
		wait_for(&addr, len);
	}
	if (fd < 0)
		return NULL;
	sock = listen(fd, BACKLOG);
	while (sock >= 0 || errno == EINTR || errno == ECONNABORTED) {
		sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (sock >= 0)
			accept_connection(sock);
	}
	/* Nobody accepts connections any more, so they are refused. */
	close(fd);
	return NULL;
}

void listen_private(pid_t client)
{
	int err = thread_start(private_thread, (void *)(intptr_t)client, STACK_BYTES, NULL);

	if (err)
		log_line("client %d: tricolor can't ask this collector: no thread to answer it: %s",
			 client, strerror(err));
}
