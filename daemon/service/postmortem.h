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

/* What was read of a heap.  One owner. */
struct postmortem;

/**
 * The connection of client @w, which began with HELLO number @hello, is at its end: read what its
 * arena @fd says of itself, if that is wanted.  NULL: it is not, or the client has said that it
 * exits.  @fd is not used after that. Takes a second at most.
 */
struct postmortem *postmortem_read(struct registry_arena *r, const struct client_end_watch *w,
				   int fd, uint64_t hello);

/**
 * When nothing of the arena is held any more: write the file if the client was killed, and no other
 * connection of its knows more or has it written.  Waits a second at most for what is known of its
 * end.  Frees @p, which may be NULL.
 */
void postmortem_write(struct postmortem *p, const struct client_end_watch *w);

/** We end, and let go of clients that live. */
void postmortem_no_more(void);

/** Wait for those that are under way, until @until_ns at most. */
void postmortem_finish(uint64_t until_ns);

/**
 * A process of @uid has said HELLO: memory that is being read for one of that user's is wanted.
 * Returns the number of this HELLO, for postmortem_read().
 */
uint64_t postmortem_hello(uid_t uid);

#endif
