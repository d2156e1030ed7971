/* SPDX-License-Identifier: GPL-2.0-only */
/* elect.h - private collectors that share a memory limit, and one of them that splits it: see elect.c */
#ifndef TRICOLOR_ELECT_H
#define TRICOLOR_ELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/proto/client.h"

/**
 * Our client, process @pid, has said @hello, with @n descriptors, of which copies are made.  Before the arena is in the
 * registry.
 */
void elect_hello(const struct tri_msg *hello, pid_t pid, const int *fds, size_t n);

/** The group that limits our client has this identity; 0, 0: nothing limits it.  The watcher. */
void elect_group(dev_t dev, ino_t ino);

/* ---- The arena's thread ---- */

/* What has come of an election. */
enum elect_result {
	ELECT_NOTHING,
	ELECT_LINK,			/* a policy: link and board */
	ELECT_ALONE,			/* none but ourselves */
};

/** The newest result that was not taken yet. */
enum elect_result elect_take(int given[2]);

/** The link with an elected policy is over: elect again. */
void elect_link_over(void);

/** The agent has handed over a policy, or that is gone: while it is there we take no part. */
void elect_bar(bool barred);

#endif
