/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * postmortem.h - what the heap of a client held that was killed: see postmortem.c
 */
#ifndef TRICOLOR_POSTMORTEM_H
#define TRICOLOR_POSTMORTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/clients/client_end.h"
#include "daemon/clients/registry.h"

/* What was read of a heap.  It belongs to the session's thread. */
struct postmortem;

/**
 * The connection of client @w, which began with HELLO number @hello, has ended: read what its arena
 * @fd holds, if post-mortems are wanted.  NULL: they are not, or the client has said that it exits.
 * It takes a second at most, and does not use @fd afterwards.
 */
struct postmortem *postmortem_read(struct registry_arena *r, const struct client_end_watch *w,
				   int fd, uint64_t hello);

/**
 * To be called when the arena is unmapped and its file is closed: write a post-mortem if the client
 * was killed, and if no other connection of it has newer figures or has written.  Waits a second at
 * most until it is known how the client ended.  Frees @p, which may be NULL.
 */
void postmortem_write(struct postmortem *p, const struct client_end_watch *w);

/** This process ends, and with it connections of clients that live: begin no more. */
void postmortem_no_more(void);

/** Wait for post-mortems that are under way, until @until_ns at most. */
void postmortem_finish(uint64_t until_ns);

/**
 * A process of @uid has said HELLO.  Reading for a post-mortem of the same user ends, as the memory
 * is needed.  Returns the number of this HELLO, for postmortem_read().
 */
uint64_t postmortem_hello(uid_t uid);

#endif
