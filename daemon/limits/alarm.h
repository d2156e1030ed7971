/* SPDX-License-Identifier: GPL-2.0-only */
/* alarm.h - what the kernel tells about a control group without being asked: see alarm.c */
#ifndef TRICOLOR_ALARM_H
#define TRICOLOR_ALARM_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/system/cgroup_files.h"

/* The alarms of one group.  The watcher's thread. */
struct alarm {
	unsigned int version;
	int pressure_fd;		/* v2: memory.pressure; v1: an eventfd; -1: none */
	int use_fd;			/* v2: memory.events; v1: that of thresholds; -1: none */
	uint64_t threshold[2];		/* those that are set */
};

#define ALARM_FDS 2

/** Returns an inotify descriptor for alarm_on_limit(), or -errno. */
int alarm_limits_open(void);

/** Discard the events that have come there. */
void alarm_limits_drain(int fd);

/** Have @fd become readable when the limit of a group is written.  False: it will not. */
bool alarm_on_limit(int fd, const struct tri_cgroup_files *f);

/** Open the alarms of the group whose files are @f.  NULL: the group can't be seen; no alarms. */
void alarm_open(struct alarm *a, const struct tri_cgroup_files *f);
void alarm_close(struct alarm *a);

/** For v1: be told when use passes one of these. */
void alarm_thresholds(struct alarm *a, const struct tri_cgroup_files *f, uint64_t low,
		      uint64_t high);

/** Whether there is an alarm before the limit is reached, so that the watcher may sleep. */
bool alarm_on_use(const struct alarm *a);

/** Fill in ALARM_FDS entries of what to poll; alarm_rang() then says whether there is an alarm. */
void alarm_poll(const struct alarm *a, struct pollfd *p);
bool alarm_rang(struct alarm *a, const struct pollfd *p);

#endif
