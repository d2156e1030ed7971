/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * peer.h - the process at the other end of a connection: see peer.c
 */
#ifndef TRICOLOR_PEER_H
#define TRICOLOR_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * Returns a pidfd of the process that has made the connection @sock, whose PID was @pid (0: it is
 * not known), to be closed by the caller.  -ESRCH: the process has ended.  Another negative errno:
 * there is no pidfd.
 */
int peer_open(int sock, pid_t pid);

/** Whether a process may still have its PID.  @pidfd is what peer_open() has returned. */
bool peer_lives(int pidfd);

#endif
