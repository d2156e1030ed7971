/* SPDX-License-Identifier: GPL-2.0-only */
/* alarm.h - what the kernel tells about a control group without being asked: see alarm.c */
#ifndef TRICOLOR_ALARM_H
#define TRICOLOR_ALARM_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/system/cgroup_files.h"

/* The alarms of one group; the watcher's. */
struct alarm {
	unsigned int version;
	int pressure_fd;		/* v2: memory.pressure; v1: an eventfd; -1: none */
	int use_fd;			/* v2: memory.events; v1: of thresholds; -1: none */
	uint64_t threshold[2];		/* that are set */
};

#define ALARM_FDS 2

/** An inotify descriptor for alarm_on_limit(); negative: -errno. */
int alarm_limits_open(void);

/** Read what has come there, and forget it. */
void alarm_limits_drain(int fd);

/** Have @fd readable when the limit of a group is written.  False: that can't be had. */
bool alarm_on_limit(int fd, const struct tri_cgroup_files *f);

/** The alarms of the group whose files are @f; NULL: it can't be seen, and there are none. */
void alarm_open(struct alarm *a, const struct tri_cgroup_files *f);
void alarm_close(struct alarm *a);

/** v1: be told when use passes either of these. */
void alarm_thresholds(struct alarm *a, const struct tri_cgroup_files *f, uint64_t low,
		      uint64_t high);

/** Whether it rings before a limit is reached, so that one may sleep until then. */
bool alarm_on_use(const struct alarm *a);

/** Fill in what to poll, ALARM_FDS entries; and see afterwards whether there is an alarm. */
void alarm_poll(const struct alarm *a, struct pollfd *p);
bool alarm_rang(struct alarm *a, const struct pollfd *p);

#endif
