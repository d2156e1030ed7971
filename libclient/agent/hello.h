/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hello.h - the first message to a collector, and its answer: see hello.c and identity.c
 *
 * For the agent only.
 */
#ifndef TRI_HELLO_H
#define TRI_HELLO_H

#include "../../core/proto/client.h"
#include "../base/attributes.h"

/*
 * HELLO as it is sent, with the descriptors that go along: the arena, and files of control groups.
 */
struct tri_introduction {
	struct tri_msg msg;
	int fds[TRI_HELLO_FDS];
	unsigned int count;
};

/* A WELCOME.  The descriptors are the caller's to close; -1: there is none. */
struct tri_welcome {
	uint32_t pid;
	bool is_policy;			/* it decides about limits; the client starts a marker */
	int board, program;
	char refusal[160];		/* a sentence, after -EACCES */
};

/* identity.c */
void tri_identify(struct tri_introduction *in) TRI_HIDDEN;
void tri_identify_end(struct tri_introduction *in) TRI_HIDDEN;

/* hello.c */
int tri_hello_send(int fd, bool starts_marker) TRI_HIDDEN;
int tri_hello_receive(int fd, struct tri_welcome *w) TRI_HIDDEN;
int tri_hello_wait(int fd, struct tri_welcome *w) TRI_HIDDEN;
void tri_welcome_close(struct tri_welcome *w) TRI_HIDDEN;
int tri_policy_send(int fd, int link, int board) TRI_HIDDEN;
const char *tri_hello_why(int err, const struct tri_welcome *w) TRI_HIDDEN;
uint32_t tri_unchosen(void) TRI_HIDDEN;

#endif
