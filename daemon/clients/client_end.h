/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * client_end.h - how a client ended, as far as that can be known: see client_end.c
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
	CLIENT_END_UNSEEN,		/* it can't be known here whether it has ended */
};

struct client_end {
	enum client_end_how how;
	int status, signal;
	bool core;			/* the signal has dumped a core */
	bool oom_known;			/* oom_kills could be read */
	uint64_t oom_kills;		/* kills for memory in its group while it was served */
};

/* What tells how a client ends.  It has one owner, as it has descriptors. */
struct client_end_watch {
	int pidfd;			/* of peer_open(); negative: there is none */
	pid_t pid;			/* in our namespace; 0: it is not in that */
	int events_fd;			/* of its group's events; -1: they can't be seen */
	uint64_t oom_kills;		/* kills in the group when the client came */
};

/**
 * Begin to watch the client at the other end of @sock, whose PID is @pid.  @claim: what it says, or
 * NULL.
 */
void client_end_watch(struct client_end_watch *w, int sock, pid_t pid, const struct claim *claim);

#define CLIENT_END_NOTHING ((struct client_end){ .how = CLIENT_END_UNSEEN })

/**
 * Find out what is known now.  @e: CLIENT_END_NOTHING, or the result of an earlier call, so that
 * how the client ended is not forgotten.
 */
void client_end_read(const struct client_end_watch *w, struct client_end *e);

/** The same, but wait until all is known, or until @until_ns of CLOCK_MONOTONIC. */
void client_end_wait(const struct client_end_watch *w, uint64_t until_ns, struct client_end *e);

/** Close the descriptors. */
void client_end_forget(struct client_end_watch *w);

/** Returns the end of a sentence, such as "was killed by signal 9 (SIGKILL)". */
const char *client_end_text(const struct client_end *e, char text[static 128]);

#endif
