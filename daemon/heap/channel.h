/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * channel.h - messages to and from a client
 *
 * The agent of the client is at the other end of the arena's socket (core/proto/client.h).  Here
 * messages are sent, received and waited for; handshake.c knows what they mean.  All of it is for
 * the arena's thread.
 */
#ifndef TRICOLOR_CHANNEL_H
#define TRICOLOR_CHANNEL_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "core/proto/client.h"

struct arena;

/**
 * Send without waiting for an answer.  False: the client is gone, or does not read its messages.
 */
bool channel_send(struct arena *a, const struct tri_msg *msg);

/** Refuse the client with an errno and a sentence, which the log has as well.  Returns false. */
bool channel_refuse(struct arena *a, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** A WELCOME with all that it always says. */
struct tri_msg channel_welcome(void);

/**
 * Receive a message if there is one, without waiting.  Returns what recv() does: 0 when the client
 * is gone, or -1 and errno.  EAGAIN also says that the message was POLICY, which may come at any
 * time, and whose descriptors linked_begin() takes.
 */
ssize_t channel_receive(struct arena *a, struct tri_msg *msg);

/* What an arena's thread waits for. */
enum { POLL_CLIENT, POLL_ORDERS, POLL_POLICY, ARENA_POLLS };

/** Fill in @p for the client's socket, with @events, and for those who give orders. */
void channel_listen(const struct arena *a, struct pollfd *p, short events);

/**
 * Wait for events of @p, of the client's socket and others.  @timeout: NULL: for any time.  False:
 * it is not possible to wait, because of a sandbox or a limit of descriptors.  Then the connection
 * is to be closed.  A loop that tried again would keep a CPU busy, and outlive the client.
 */
bool channel_poll(struct arena *a, struct pollfd *p, nfds_t n, const struct timespec *timeout);

#endif
