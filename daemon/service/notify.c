// SPDX-License-Identifier: GPL-2.0-only
/*
 * notify.c - telling the service manager how we are
 *
 * The protocol is that of sd_notify(3), which allows to speak it without a library.  A message is a
 * datagram to the unix socket that NOTIFY_SOCKET names.  A @ at the beginning of that name stands
 * for the zero byte of an abstract address.
 */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "daemon/process/log.h"

void notify(const char *fmt, ...)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	char text[512];
	socklen_t len;
	va_list args;
	int fd;

	if (!n)
		return;
	if ((*path != '/' && *path != '@') || n >= sizeof(addr.sun_path)) {
		log_warning("NOTIFY_SOCKET=%s is no address of a socket", path);
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(addr.sun_path, path, n);
	if (*path == '@')
		addr.sun_path[0] = 0;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&addr, len) < 0)
		log_warning("can't tell the service manager at %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

void notify_reloading(void)
{
	notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_ns() / 1000));
}
