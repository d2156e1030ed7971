/* SPDX-License-Identifier: GPL-2.0-only */
/* run_collector.h - a collector for the length of one `tricolor run` */
#ifndef TRICOLOR_RUN_COLLECTOR_H
#define TRICOLOR_RUN_COLLECTOR_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct run_collector {
	char folder[80];		/* a folder that only we may enter; "": not made */
	char socket[108];		/* in it; what TRICOLOR_SOCKET is to be */
	char notify[108];		/* beside it; what the collector says about itself */
	pid_t pid;
	int notify_fd;			/* where the collector's messages arrive; open as long as it
					 * may send some */
	int until_fd;			/* the collector serves as long as this is open, or as it
					 * has clients */
};

/**
 * Start it and wait until it listens.  @settings: options for it, ends with NULL.  @mask: the
 * signals that are to be blocked in it.  False: an error message was printed.
 */
bool run_collector_start(struct run_collector *c, const char *const *settings,
			 const sigset_t *mask);

/**
 * Tell it that no more clients will come.  True: it has ended.  False: clients are left, and it
 * ends when they do.
 */
bool run_collector_release(struct run_collector *c);

/** Wait until it has ended; after run_collector_release(). */
void run_collector_wait(struct run_collector *c);

/** Close all descriptors from 3 on but those of @c, and @fd. */
void run_collector_only(const struct run_collector *c, int fd);

/** Remove what it has left behind. */
void run_collector_clean(struct run_collector *c);

#endif
