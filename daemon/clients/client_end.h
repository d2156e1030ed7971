/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * client_end.h - what ended a client, as far as that can be known: see client_end.c
 */
#ifndef TRICOLOR_CLIENT_END_H
#define TRICOLOR_CLIENT_END_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct claim;

enum client_end_how {
	CLIENT_END_ALIVE,		/* it has not ended; its connection has */
	CLIENT_END_EXIT,		/* by exit() or _exit(): `status` */
	CLIENT_END_SIGNAL,		/* by `signal` */
	CLIENT_END_UNKNOWN,		/* it has ended, and this kernel does not tell how */
	CLIENT_END_UNSEEN,		/* not even that can be known here */
};

struct client_end {
	enum client_end_how how;
	int status, signal;
	bool core;			/* and there is a core */
	bool oom_known;			/* whether the kernel counts kills where we can see it */
	uint64_t oom_kills;		/* of its group for memory, while it was served */
};

/* A client whose end is waited for.  Plain data but for the descriptors: one owner. */
struct client_end_watch {
	int pidfd;			/* of peer_open(); negative: there is none to be had */
	pid_t pid;			/* in our namespace; 0: it is not in there */
	int events_fd;			/* of its group's events; -1: not seen */
	uint64_t oom_kills;		/* of the group when it came */
};

/**
 * Begin to watch the client at the other end of @sock, whose number is @pid.  @claim: what it says,
 * or NULL.
 */
void client_end_watch(struct client_end_watch *w, int sock, pid_t pid, const struct claim *claim);

#define CLIENT_END_NOTHING ((struct client_end){ .how = CLIENT_END_UNSEEN })

/**
 * What there is to know now.  @e: CLIENT_END_NOTHING, or of an earlier look: how it ended is not
 * forgotten.
 */
void client_end_read(const struct client_end_watch *w, struct client_end *e);

/** The same, after waiting for more until @until_ns of CLOCK_MONOTONIC. */
void client_end_wait(const struct client_end_watch *w, uint64_t until_ns, struct client_end *e);

void client_end_forget(struct client_end_watch *w);

/** A sentence's end: "was killed by signal 9 (SIGKILL)". */
const char *client_end_text(const struct client_end *e, char text[static 128]);

#endif
