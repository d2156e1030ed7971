/* SPDX-License-Identifier: GPL-2.0-only */
/* accept.h - a connection's first message says who is there */
#ifndef TRICOLOR_ACCEPT_H
#define TRICOLOR_ACCEPT_H

/** A connection was accepted: serve it in a thread of its own.  Owns @sock.  Never waits. */
void accept_connection(int sock);

/** The same for a private collector of our user, which takes us for its policy. */
void accept_peer_marker(int sock);

#endif
