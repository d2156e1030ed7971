/* SPDX-License-Identifier: GPL-2.0-only */
/* accept.h - finding out by its first message what a new connection is for: see accept.c */
#ifndef TRICOLOR_ACCEPT_H
#define TRICOLOR_ACCEPT_H

/** Serve the accepted connection @sock in a thread of its own, which closes it.  Never waits. */
void accept_connection(int sock);

/** The same for a private collector of our user, of which we are to be the policy. */
void accept_peer_marker(int sock);

#endif
