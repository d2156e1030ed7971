/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * handshake.h - the collector's half of the conversation with an agent
 *
 * There is one handshake at a time.  Requests and orders that come while its answer is awaited are
 * noted.  A function that returns false says that the client is gone, or that it sent something
 * that is not the protocol.  Then the connection is to be closed.  All of it is for the arena's
 * thread.
 */
#ifndef TRICOLOR_HANDSHAKE_H
#define TRICOLOR_HANDSHAKE_H

#include <stdbool.h>

#include "core/proto/client.h"

struct arena;

/** Ask for a handshake, and wait for its answer. */
bool handshake(struct arena *a, enum tri_handshake kind, struct tri_msg *answer);

/** Receive one message, waiting for it.  Requests are noted, and orders that come meanwhile. */
bool handshake_receive(struct arena *a, struct tri_msg *msg);

/**
 * Receive the client's first request, which is not noted.  Before it has come nothing is written
 * into the arena, as a client that did not wait for our WELCOME may have another collector by now.
 */
bool handshake_receive_first(struct arena *a, struct tri_msg *msg);

/** Note what a client's request asks for. */
void handshake_note(struct arena *a, const struct tri_msg *msg);

#endif
