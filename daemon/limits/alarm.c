// SPDX-License-Identifier: GPL-2.0-only
/*
 * alarm.c - what the kernel tells about a control group without being asked
 *
 * 	a limit is written		inotify on the files (all versions)
 * 	memory.high or .max is hit	memory.events can be polled (v2)
 * 	tasks wait for memory		a trigger on memory.pressure (v2, with PSI)
 * 	reclaim has a hard time		an eventfd on memory.pressure_level (v1)
 * 	use passes a threshold		eventfds on memory.usage_in_bytes (v1)
 *
 * Each of them may be missing, because of the version, the configuration, or a missing right.  Then
 * the watcher reads by the clock, as it does anyway while clients are at work.
 */
#include "alarm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

int alarm_limits_open(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void alarm_limits_drain(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

bool alarm_on_limit(int fd, const struct tri_cgroup_files *f)
{
	static const unsigned int kinds[] = { TRI_FD_LIMIT, TRI_FD_HIGH };
	bool heard = true;
	char path[64];
	size_t i;

	for (i = 0; i < 2; i++) {
		if (f->fd[kinds[i]] < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd[kinds[i]]);
		/* A second call for a file changes nothing.  The watch ends with the file. */
		heard &= fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) >= 0;
	}
	return heard;
}

/* Have eventfd @fd counted up at the events of a file that @arguments name; v1. */
static bool register_event(int fd, const struct tri_cgroup_files *f, int file,
			   const char *arguments)
{
	int control = f->fd[TRI_FD_EVENT_CONTROL], len;
	char line[96];

	if (fd < 0 || file < 0 || control < 0)
		return false;
	len = snprintf(line, sizeof(line), "%d %d %s", fd, file, arguments);
	return write(control, line, (size_t)len) == len;
}

static int event_on(const struct tri_cgroup_files *f, int file, const char *arguments)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd >= 0 && !register_event(fd, f, file, arguments)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int duplicate(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int pressure_trigger(int file)
{
	/* 100 ms of waits in a second; without privileges only windows of 2 s are allowed. */
	static const char *const triggers[] = { "some 100000 1000000", "some 200000 2000000" };
	size_t i;

	for (i = 0; i < 2 && file >= 0; i++)
		/* EBUSY: the file has a trigger, from when this group had a limit before. */
		if (write(file, triggers[i], strlen(triggers[i]) + 1) > 0 || errno == EBUSY)
			return duplicate(file);
	return -1;
}

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void alarm_open(struct alarm *a, const struct tri_cgroup_files *f)
{
	char events[1024];

	*a = (struct alarm){ .version = f ? f->version : 0, .pressure_fd = -1, .use_fd = -1 };
	if (a->version == 1)
		a->pressure_fd = event_on(f, f->fd[TRI_FD_PRESSURE], "medium");
	if (a->version != 2)
		return;
	a->pressure_fd = pressure_trigger(f->fd[TRI_FD_PRESSURE]);
	a->use_fd = duplicate(f->fd[TRI_FD_EVENTS]);
	/* The kernel signals changes since the file was read. */
	if (a->use_fd >= 0 && pread(a->use_fd, events, sizeof(events), 0) < 0)
		forget(&a->use_fd);
}

void alarm_close(struct alarm *a)
{
	forget(&a->pressure_fd);
	forget(&a->use_fd);
}

void alarm_thresholds(struct alarm *a, const struct tri_cgroup_files *f, uint64_t low,
		      uint64_t high)
{
	char text[32];

	if (a->version != 1 || (a->threshold[0] == low && a->threshold[1] == high))
		return;
	a->threshold[0] = low;
	a->threshold[1] = high;
	forget(&a->use_fd);	/* this removes the thresholds, too */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)low);
	a->use_fd = event_on(f, f->fd[TRI_FD_USE], text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)high);
	if (!register_event(a->use_fd, f, f->fd[TRI_FD_USE], text))
		forget(&a->use_fd);
}

void alarm_poll(const struct alarm *a, struct pollfd *p)
{
	short events = a->version == 2 ? POLLPRI : POLLIN;

	p[0] = (struct pollfd){ .fd = a->pressure_fd, .events = events };
	p[1] = (struct pollfd){ .fd = a->use_fd, .events = events };
}

/* Reset an alarm: v1's is a counter, and v2's is a file that is to be read from its start. */
static bool quiet(const struct alarm *a, int fd)
{
	char text[1024];

	return a->version == 2 ? pread(fd, text, sizeof(text), 0) >= 0 :
				 read(fd, text, sizeof(uint64_t)) > 0;
}

bool alarm_rang(struct alarm *a, const struct pollfd *p)
{
	bool rang = false;

	/*
	 * POLLERR of memory.pressure says that the group is gone.  memory.events has it at each
	 * change.
	 */
	if (p[0].revents & (POLLERR | POLLHUP | POLLNVAL))
		forget(&a->pressure_fd);
	else if (p[0].revents)
		rang = a->version == 2 || quiet(a, a->pressure_fd);
	if (p[1].revents && quiet(a, a->use_fd))
		rang = true;
	else if (p[1].revents)
		forget(&a->use_fd);
	return rang;
}

bool alarm_on_use(const struct alarm *a)
{
	return a->version == 1 && a->use_fd >= 0;
}
