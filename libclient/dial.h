/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dial.h - looking up the shared collector's path: see dial.c.  All of it is the agent's. */
#ifndef TRI_DIAL_H
#define TRI_DIAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "attributes.h"

/* What has come of it. */
struct tri_dialled {
	int sock, inotify;		/* as they were given */
	int watch;			/* of the nearest folder that there is, in inotify; -1:
					 * none */
	const char *awaited;		/* what is to appear there: valid until the next one
					 * begins */
	int err;			/* of connect(): 0, or negative */
};

int tri_dial_begin(int sock, int inotify, int wait_ms) TRI_HIDDEN;
int tri_dial_fd(void) TRI_HIDDEN;
bool tri_dial_end(struct tri_dialled *d) TRI_HIDDEN;
pid_t tri_dial_thread(void) TRI_HIDDEN;
void tri_dial_leave(void) TRI_HIDDEN;
void tri_dial_reset(void) TRI_HIDDEN;

#endif
