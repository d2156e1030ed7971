/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * async_connect.h - connecting to the shared collector while its path may not answer: see
 * async_connect.c
 *
 * All of it is the agent's.
 */
#ifndef TRI_ASYNC_CONNECT_H
#define TRI_ASYNC_CONNECT_H

#include <stdbool.h>

#include "../base/attributes.h"

/* What has come of it. */
struct tri_async_connected {
	int sock, inotify;		/* as they were given */
	int watch;			/* of the nearest folder that there is, in inotify; -1:
					 * none */
	const char *awaited;		/* what is to appear there: valid until the next one
					 * begins */
	int err;			/* of connect(): 0, or negative */
};

int tri_async_connect_begin(int sock, int inotify, int wait_ms) TRI_HIDDEN;
int tri_async_connect_fd(void) TRI_HIDDEN;
bool tri_async_connect_end(struct tri_async_connected *d) TRI_HIDDEN;
void tri_async_connect_abandon(void) TRI_HIDDEN;
void tri_async_connect_reset(void) TRI_HIDDEN;

#endif
