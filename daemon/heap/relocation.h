/* SPDX-License-Identifier: GPL-2.0-only */
/* relocation.h - whether a client has moved away from its marker: see relocation.c */
#ifndef TRICOLOR_RELOCATION_H
#define TRICOLOR_RELOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* It belongs to the arena's thread. */
struct relocation_check {
	pid_t pid, tid;			/* the client and its agent, as we see them; 0: no check */
	uint64_t next_ns;		/* when the next check is due */
};

struct arena;

/** @pid: SO_PEERCRED.  @tid: the agent, as the client says. */
void relocation_init(struct relocation_check *m, pid_t pid, pid_t tid);

/**
 * Whether the client is in another session or control group than we are, and where, in words.
 * There is a check once a second at most, and false in between.
 */
bool relocation_detected(struct relocation_check *m, char *where, size_t room);

/**
 * Ask to be replaced if the client has moved.  To be called between cycles.  False: we are
 * replaced, or the client is gone.
 */
bool relocation_follow(struct arena *a);

#endif
