/* SPDX-License-Identifier: GPL-2.0-only */
/* session.h - serving a client, from its HELLO until it is gone: see session.c */
#ifndef TRICOLOR_SESSION_H
#define TRICOLOR_SESSION_H

/** Serve the client at @sock until it is gone, in the calling thread.  Closes @sock. */
void session_serve(int sock);

/**
 * The same for a private collector of our user, which marks its client's heap, and of which we are
 * the policy.
 */
void session_serve_peer_marker(int sock);

#endif
