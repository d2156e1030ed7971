/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * link_server.h - the policy's end of a link (daemon/clients/link.h): clients whose heaps another
 * process marks
 */
#ifndef TRICOLOR_LINK_SERVER_H
#define TRICOLOR_LINK_SERVER_H

#include <stdint.h>

struct arena;

/**
 * Hand the client at @a's socket, which is to start a marker, the board, and serve the link until
 * its end.
 * @gid: of the client.  @heap_bytes: address space of its heap.
 */
void link_serve(struct arena *a, uint32_t gid, uint64_t heap_bytes);

#endif
