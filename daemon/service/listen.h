/* SPDX-License-Identifier: GPL-2.0-only */
/* listen.h - the sockets that a collector is reached at */
#ifndef TRICOLOR_LISTEN_H
#define TRICOLOR_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

/** Listen at @path.  A socket, not blocking; -1: the log says why not. */
int listen_at(const char *path);

/** Whether listen_at(@path) would work; what is in the way goes to the log. */
bool listen_check(const char *path);

/**
 * Listen for control requests at the abstract address of the private collector of @client, in a
 * thread of its own.  No error stops the collector: then it can't be asked.
 */
void listen_private(pid_t client);

#endif
