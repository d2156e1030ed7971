// SPDX-License-Identifier: GPL-2.0-only
/*
 * service_pressure.c - what the service manager tells of memory pressure
 *
 * The protocol is systemd's, and needs no library (https://systemd.io/PRESSURE):
 *
 *  1. MEMORY_PRESSURE_WATCH is the path of what to watch.  It is a file of the kernel's
 *     (memory.pressure of the service's group), which signals by POLLPRI and is never read; or a
 *     FIFO, or a unix socket to connect to, which signal by POLLIN, and whose contents are
 *     discarded.  /dev/null says not to watch.
 *  2. MEMORY_PRESSURE_WRITE, in base64, is written there first: the kernel's file needs to know
 *     when to signal.
 *
 * The path may name anything.  A file of another kind is not opened, no open or write waits, and an
 * error is only logged.  Nothing is written into a regular file that is not the kernel's, as such a
 * file can't signal.
 *
 * After a signal the file is not polled for as long as the kernel's shortest window.  All signals
 * that come meanwhile count as one, so a flood of them costs a few readings a second.
 */
#include "service_pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "daemon/process/log.h"

#define WRITE_BYTES 1024
#define PAUSE_NS 1000000000ull
#define MS 1000000ull

static int fd = -1;
static short events;
static uint64_t paused_until_ns;	/* 0: it is polled */

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int service_pressure_decode(const char *text, void *data, size_t room)
{
	size_t len = strlen(text), padding = 0, n = 0, i;
	unsigned char *to = data;
	uint32_t bits = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	if (len % 4 || len / 4 * 3 - padding > room)
		return -1;
	for (i = 0; i < len - padding; i++) {
		int value = digit(text[i]);

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		/* Four digits are three bytes, and each digit but the first completes one. */
		if (i % 4)
			to[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	return (int)n;
}

static int no(int err, int opened)
{
	if (opened >= 0)
		close(opened);
	errno = err;
	return -1;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock;

	if (strlen(path) >= sizeof(addr.sun_path))
		return no(ENAMETOOLONG, -1);
	strcpy(addr.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return no(errno, sock);
	return sock;
}

/* Open for reading and writing: a FIFO then has a writer, and never is at its end. */
static int open_file(const char *path, mode_t type)
{
	int opened = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (opened < 0)
		return -1;
	/* Another file may have its name by now. */
	if (fstat(opened, &st) || (st.st_mode & S_IFMT) != type)
		return no(EMEDIUMTYPE, opened);
	if (type == S_IFREG && (fstatfs(opened, &fs) || (fs.f_type != CGROUP2_SUPER_MAGIC &&
							 fs.f_type != PROC_SUPER_MAGIC)))
		return no(EMEDIUMTYPE, opened);
	return opened;
}

static int open_path(const char *path)
{
	struct stat st;

	if (*path != '/')
		return no(EINVAL, -1);
	/* The kind is checked first, as opening a device may have effects. */
	if (stat(path, &st))
		return -1;
	events = S_ISREG(st.st_mode) ? POLLPRI : POLLIN;
	if (S_ISSOCK(st.st_mode))
		return connect_to(path);
	if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode))
		return open_file(path, st.st_mode & S_IFMT);
	return no(EMEDIUMTYPE, -1);
}

static bool write_first(void)
{
	const char *text = getenv("MEMORY_PRESSURE_WRITE");
	char data[WRITE_BYTES];
	int n = text ? service_pressure_decode(text, data, sizeof(data)) : 0;
	ssize_t done;

	if (n < 0) {
		errno = EINVAL;
		return false;
	}
	done = n ? write(fd, data, (size_t)n) : 0;
	if (done >= 0 && done < n)
		errno = EAGAIN;
	return done == n;
}

void service_pressure_open(struct pollfd *p)
{
	const char *path = getenv("MEMORY_PRESSURE_WATCH");

	*p = (struct pollfd){ .fd = -1 };
	if (!path || !*path || !strcmp(path, "/dev/null"))
		return;
	fd = open_path(path);
	if (fd < 0) {
		log_warning("memory pressure is not watched: MEMORY_PRESSURE_WATCH=%.200s: %s",
			    path,
			    errno == EMEDIUMTYPE ? "no file of the kernel's, FIFO or socket" :
						   strerror(errno));
		return;
	}
	if (!write_first()) {
		log_warning(
			"memory pressure is not watched: can't write MEMORY_PRESSURE_WRITE to "
			"%.200s: %s",
			path, strerror(errno));
		close(fd);
		fd = -1;
		return;
	}
	log_debug("memory pressure is watched at %.200s", path);
	*p = (struct pollfd){ .fd = fd, .events = events };
}

/* Read and discard as much as a FIFO holds; the rest can wait.  False: it is at its end. */
static bool discard(void)
{
	char data[4096];
	ssize_t n = 1;
	int i;

	for (i = 0; i < 16 && n > 0; i++)
		n = read(fd, data, sizeof(data));
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool service_pressure_signalled(struct pollfd *p)
{
	uint64_t now = clock_ns();
	bool rang = p->fd >= 0 && p->revents & events, over;

	if (fd < 0)
		return false;
	over = p->fd >= 0 && p->revents & (POLLERR | POLLHUP | POLLNVAL);
	if (rang && events == POLLIN)
		over |= !discard();
	if (over) {
		log_line(
			"memory pressure is not watched any more: who told of it is gone, or does "
			"not know when to");
		close(fd);
		fd = p->fd = -1;
		paused_until_ns = 0;
		return rang;
	}
	if (rang) {
		paused_until_ns = now + PAUSE_NS;
		p->fd = -1;
	} else if (paused_until_ns && now >= paused_until_ns) {
		paused_until_ns = 0;
		p->fd = fd;
	}
	p->revents = 0;
	return rang;
}

int service_pressure_timeout(void)
{
	uint64_t now = clock_ns();

	if (!paused_until_ns)
		return -1;
	return paused_until_ns <= now ? 0 : (int)((paused_until_ns - now + MS - 1) / MS);
}
