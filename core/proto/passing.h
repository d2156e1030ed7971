/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * passing.h - sending and receiving messages of client.h, with the descriptors that come with them
 */
#ifndef TRI_CORE_PASSING_H
#define TRI_CORE_PASSING_H

#include <stddef.h>
#include <sys/types.h>

#include "client.h"

/** Send @m with @n descriptors, at most TRI_HELLO_FDS.  0 or -errno. */
int tri_pass(int sock, const struct tri_msg *m, const int *fds, size_t n, int flags);

/**
 * Receive into @m, with the result and errno of recvmsg().  @fds has room for @room descriptors, at
 * most TRI_HELLO_FDS; entries for which no descriptor came are set to -1.  Descriptors beyond @room
 * are closed.  @count: how many came, or @room + 1 if there were more than @room.
 */
ssize_t tri_receive(int sock, struct tri_msg *m, int flags, int *fds, size_t room, size_t *count);

#endif
