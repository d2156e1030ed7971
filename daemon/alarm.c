// SPDX-License-Identifier: GPL-2.0-only
/*
 * alarm.c - what the kernel tells about a control group without being asked
 *
 *	a limit is written		inotify on the files (all versions)
 *	memory.high or .max is hit	memory.events can be polled (v2)
 *	tasks wait for memory		a trigger on memory.pressure (v2, with PSI)
 *	reclaim has a hard time		an eventfd on memory.pressure_level (v1)
 *	use passes a threshold		eventfds on memory.usage_in_bytes (v1)
 *
 * Each of them may be missing: by version, configuration, or for want of a right.  Then the watcher
 * looks by the clock, as it does anyway while clients are at work.
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

void alarm_on_limits(int fd, const struct cgroup *cg)
{
	static const char *const files[3][2] = {
		{ NULL }, { "memory.limit_in_bytes", NULL }, { "memory.max", "memory.high" },
	};
	char dir[PATH_MAX], path[64];
	size_t i;
	int file;

	if (fd < 0 || !cg->version)
		return;
	strcpy(dir, cg->dir);
	do {
		for (i = 0; i < 2 && files[cg->version][i]; i++) {
			file = cgroup_open(dir, files[cg->version][i], O_RDONLY);
			if (file < 0)
				continue;
			snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
			/* Twice is as good as once: it is the same watch.  It goes with the file. */
			inotify_add_watch(fd, path, IN_MODIFY);
			close(file);
		}
	} while (cgroup_up(dir, cg->mount_len));
}

/* An eventfd for what @arguments say about file @name; v1. */
static int event_on(const char *dir, const char *name, const char *arguments)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int file = cgroup_open(dir, name, O_RDONLY),
	    control = cgroup_open(dir, "cgroup.event_control", O_WRONLY);
	char line[96];
	int len = snprintf(line, sizeof(line), "%d %d %s", fd, file, arguments);

	if (fd >= 0 && (file < 0 || control < 0 || write(control, line, (size_t)len) != len)) {
		close(fd);
		fd = -1;
	}
	if (file >= 0)
		close(file);
	if (control >= 0)
		close(control);
	return fd;
}

static int pressure_trigger(const char *dir)
{
	/* 100 ms of waits in a second; who has no privileges may ask for windows of 2 s only. */
	static const char *const triggers[] = { "some 100000 1000000", "some 200000 2000000" };
	size_t i;

	for (i = 0; i < 2; i++) {
		int fd = cgroup_open(dir, "memory.pressure", O_RDWR);

		if (fd < 0)
			return -1;
		if (write(fd, triggers[i], strlen(triggers[i]) + 1) > 0)
			return fd;
		close(fd);
	}
	return -1;
}

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void alarm_open(struct alarm *a, const char *dir, unsigned int version)
{
	char events[1024];

	*a = (struct alarm){ .version = version, .pressure_fd = -1, .use_fd = -1 };
	if (version == 1)
		a->pressure_fd = event_on(dir, "memory.pressure_level", "medium");
	if (version != 2)
		return;
	a->pressure_fd = pressure_trigger(dir);
	a->use_fd = cgroup_open(dir, "memory.events", O_RDONLY);
	/* What has changed since it was read rings. */
	if (a->use_fd >= 0 && read(a->use_fd, events, sizeof(events)) < 0)
		forget(&a->use_fd);
}

void alarm_close(struct alarm *a)
{
	forget(&a->pressure_fd);
	forget(&a->use_fd);
}

void alarm_thresholds(struct alarm *a, const char *dir, uint64_t low, uint64_t high)
{
	char text[32], line[96];
	int file, control, len;

	if (a->version != 1 || (a->threshold[0] == low && a->threshold[1] == high))
		return;
	a->threshold[0] = low;
	a->threshold[1] = high;
	forget(&a->use_fd);	/* thresholds go with it */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)low);
	a->use_fd = event_on(dir, "memory.usage_in_bytes", text);
	if (a->use_fd < 0)
		return;
	file = cgroup_open(dir, "memory.usage_in_bytes", O_RDONLY);
	control = cgroup_open(dir, "cgroup.event_control", O_WRONLY);
	len = snprintf(line, sizeof(line), "%d %d %llu", a->use_fd, file, (unsigned long long)high);
	if (file < 0 || control < 0 || write(control, line, (size_t)len) != len)
		forget(&a->use_fd);
	if (file >= 0)
		close(file);
	if (control >= 0)
		close(control);
}

void alarm_poll(const struct alarm *a, struct pollfd *p)
{
	short events = a->version == 2 ? POLLPRI : POLLIN;

	p[0] = (struct pollfd){ .fd = a->pressure_fd, .events = events };
	p[1] = (struct pollfd){ .fd = a->use_fd, .events = events };
}

/* A v1 alarm counts; v2's is at rest again when it has been read from the start. */
static bool quiet(const struct alarm *a, int fd)
{
	char text[1024];

	return a->version == 2 ? pread(fd, text, sizeof(text), 0) >= 0 :
				 read(fd, text, sizeof(uint64_t)) > 0;
}

bool alarm_rang(struct alarm *a, const struct pollfd *p)
{
	bool rang = false;

	/* POLLERR: the group is gone.  memory.events has it with each change. */
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
