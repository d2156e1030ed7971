/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * handshake.h - the collector's half of the conversation with an agent
 *
 * There is one handshake at a time.  Requests and orders may come while its answer is awaited; they
 * are noted. Functions that return false say that the client is gone, or that what it sent is not
 * the protocol; its arena is to be let go of then.  The arena's thread.
 */
#ifndef TRICOLOR_HANDSHAKE_H
#define TRICOLOR_HANDSHAKE_H

#include <stdbool.h>

#include "core/proto/client.h"

struct arena;

/** Ask for a handshake and wait for its answer. */
bool handshake(struct arena *a, enum tri_handshake kind, struct tri_msg *answer);

/** Receive one message, waiting for it.  Requests are noted, and orders that come meanwhile. */
bool handshake_receive(struct arena *a, struct tri_msg *msg);

/**
 * The client's first request, which is not noted.  Until it is there nothing is written into the
 * arena: a client that has lost patience just when we welcomed it has turned to another collector.
 */
bool handshake_receive_first(struct arena *a, struct tri_msg *msg);

/** Note what a client's request asks for. */
void handshake_note(struct arena *a, const struct tri_msg *msg);

#endif
