/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dial.h - looking up the shared collector's path: see dial.c.  All of it is the agent's. */
#ifndef TRI_DIAL_H
#define TRI_DIAL_H

#include <stdbool.h>
#include <sys/types.h>

/* What has come of it. */
struct tri_dialled {
	int sock, inotify;		/* as they were given */
	int watch;			/* of the nearest folder that there is, in inotify; -1: none */
	const char *awaited;		/* what is to appear there: valid until the next one begins */
	int err;			/* of connect(): 0, or negative */
};

int tri_dial_begin(int sock, int inotify, int wait_ms) __attribute__((visibility("hidden")));
int tri_dial_fd(void) __attribute__((visibility("hidden")));
bool tri_dial_end(struct tri_dialled *d) __attribute__((visibility("hidden")));
pid_t tri_dial_thread(void) __attribute__((visibility("hidden")));
void tri_dial_leave(void) __attribute__((visibility("hidden")));
void tri_dial_reset(void) __attribute__((visibility("hidden")));

#endif
