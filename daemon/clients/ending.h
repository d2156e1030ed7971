/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ending.h - what ended a client, as far as that can be known: see ending.c
 */
#ifndef TRICOLOR_ENDING_H
#define TRICOLOR_ENDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct claim;

enum ending_how {
	ENDING_ALIVE,			/* it has not ended; its connection has */
	ENDING_EXIT,			/* by exit() or _exit(): `status` */
	ENDING_SIGNAL,			/* by `signal` */
	ENDING_UNKNOWN,			/* it has ended, and this kernel does not tell how */
	ENDING_UNSEEN,			/* not even that can be known here */
};

struct ending {
	enum ending_how how;
	int status, signal;
	bool core;			/* and there is a core */
	bool oom_known;			/* whether the kernel counts kills where we can see it */
	uint64_t oom_kills;		/* of its group for memory, while it was served */
};

/* A client whose end is waited for.  Plain data but for the descriptors: one owner. */
struct ending_watch {
	int pidfd;			/* of peer_open(); negative: there is none to be had */
	pid_t pid;			/* in our namespace; 0: it is not in there */
	int events_fd;			/* of its group's events; -1: not seen */
	uint64_t oom_kills;		/* of the group when it came */
};

/**
 * Begin to watch the client at the other end of @sock, whose number is @pid.  @claim: what it says,
 * or NULL.
 */
void ending_watch(struct ending_watch *w, int sock, pid_t pid, const struct claim *claim);

#define ENDING_NOTHING ((struct ending){ .how = ENDING_UNSEEN })

/**
 * What there is to know now.  @e: ENDING_NOTHING, or of an earlier look: how it ended is not
 * forgotten.
 */
void ending_read(const struct ending_watch *w, struct ending *e);

/** The same, after waiting for more until @until_ns of CLOCK_MONOTONIC. */
void ending_wait(const struct ending_watch *w, uint64_t until_ns, struct ending *e);

void ending_forget(struct ending_watch *w);

/** A sentence's end: "was killed by signal 9 (SIGKILL)". */
const char *ending_text(const struct ending *e, char text[static 128]);

#endif
