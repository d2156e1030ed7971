/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * peer.h - the process at the other end of a connection: see peer.c
 */
#ifndef TRICOLOR_PEER_H
#define TRICOLOR_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * A pidfd of the process that has made the connection @sock, whose number was @pid, or was 0; to be
 * closed by the caller.  -ESRCH: it is no more.  Another negative errno: there is none to be had.
 */
int peer_open(int sock, pid_t pid);

/** Whether a process may still have its number: @pidfd is what peer_open() has returned. */
bool peer_lives(int pidfd);

#endif
