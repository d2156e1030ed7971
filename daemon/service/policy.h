/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * policy.h - the policy's end of a link (daemon/clients/link.h): clients whose heaps another
 * process marks
 */
#ifndef TRICOLOR_POLICY_H
#define TRICOLOR_POLICY_H

#include <stdint.h>

struct arena;

/** Find the program that clients without one are lent.  Once, before there are threads. */
void policy_find_program(void);

/** Path of that program, or NULL. */
const char *policy_program(void);

/**
 * The client at @a's socket is to start a marker: hand it the board, and serve the link until its
 * end.
 * @gid: of the client.  @heap_bytes: address space of its heap.
 */
void policy_serve(struct arena *a, uint32_t gid, uint64_t heap_bytes);

#endif
