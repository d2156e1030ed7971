/* SPDX-License-Identifier: GPL-2.0-only */
/* greet.h - a connection's first message says who is there */
#ifndef TRICOLOR_GREET_H
#define TRICOLOR_GREET_H

/** A connection was accepted: serve it in a thread of its own.  Owns @sock.  Never waits. */
void greet(int sock);

/** The same for a private collector of our user, which takes us for its policy. */
void greet_member(int sock);

#endif
