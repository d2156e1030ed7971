/* SPDX-License-Identifier: GPL-2.0-only */
/* moved.h - whether a client has moved away from its marker: see moved.c */
#ifndef TRICOLOR_MOVED_H
#define TRICOLOR_MOVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Owned by the arena's thread. */
struct moved {
	pid_t pid, tid;			/* of the client and its agent, as we see them; 0: not to be looked at */
	uint64_t next_ns;		/* when to look again */
};

struct arena;

/** @pid: SO_PEERCRED.  @tid: the agent, as the client says. */
void moved_init(struct moved *m, pid_t pid, pid_t tid);

/**
 * Whether the client is in another session or control group than we are, and where, in words.  Looks once a
 * second at most: false in between.
 */
bool moved(struct moved *m, char *where, size_t room);

/**
 * Ask to be replaced if the client has moved.  To be called between cycles.  False: we are replaced, or the client is
 * gone.
 */
bool moved_follow(struct arena *a);

#endif
