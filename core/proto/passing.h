/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * passing.h - messages of proto.h, and the descriptors that go with them
 */
#ifndef TRI_CORE_PASSING_H
#define TRI_CORE_PASSING_H

#include <stddef.h>
#include <sys/types.h>

#include "client.h"

/** Send @m with @n descriptors, at most TRI_HELLO_FDS.  0 or -errno. */
int tri_pass(int sock, const struct tri_msg *m, const int *fds, size_t n, int flags);

/**
 * Receive into @m, as recvmsg() does.  @fds has room for @room descriptors, at most TRI_HELLO_FDS,
 * and -1 in those places for which none came.  What there is no room for is closed.
 * @count: how many came, or @room + 1 for more than these.
 */
ssize_t tri_receive(int sock, struct tri_msg *m, int flags, int *fds, size_t room, size_t *count);

#endif
