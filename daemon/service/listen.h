/* SPDX-License-Identifier: GPL-2.0-only */
/* listen.h - the sockets that a collector is reached at */
#ifndef TRICOLOR_LISTEN_H
#define TRICOLOR_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

/** Listen at @path.  Returns a socket that does not block; -1: the log says why not. */
int listen_at(const char *path);

/** Whether listen_at(@path) would work.  If not, the log says why. */
bool listen_check(const char *path);

/**
 * Listen for control requests at the abstract address of the private collector of @client, in a
 * thread of its own.  If that fails, the collector goes on, and only answers no requests.
 */
void listen_private(pid_t client);

#endif
