/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * async_connect.h - connecting to the shared collector although its path may not answer: see
 * async_connect.c
 *
 * For the agent only.
 */
#ifndef TRI_ASYNC_CONNECT_H
#define TRI_ASYNC_CONNECT_H

#include <stdbool.h>

#include "../base/attributes.h"

/* The result of an attempt. */
struct tri_async_connected {
	int sock, inotify;		/* as they were given */
	int watch;			/* of the nearest folder that exists, in inotify; -1:
					 * none */
	const char *awaited;		/* the name that is to appear there; valid until the
					 * next attempt begins */
	int err;			/* what connect() returned: 0 or a negative errno */
};

int tri_async_connect_begin(int sock, int inotify, int wait_ms) TRI_HIDDEN;
int tri_async_connect_fd(void) TRI_HIDDEN;
bool tri_async_connect_end(struct tri_async_connected *d) TRI_HIDDEN;
void tri_async_connect_abandon(void) TRI_HIDDEN;
void tri_async_connect_reset(void) TRI_HIDDEN;

#endif
