/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * election.h - what the threads of a private collector tell each other about the election of a
 * policy
 *
 * The election itself is a thread of its own (daemon/service/elect.c).  The watcher says which
 * group limits our client, the arena's thread what has become of its policy, and the election's
 * thread what has come of the election.  All of that is here, under one lock, which is held for a
 * few words and never over a system call that waits.
 */
#ifndef TRICOLOR_ELECTION_H
#define TRICOLOR_ELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/proto/client.h"

/* Those that share a limit: device and inode of the group's file. */
struct election_key {
	dev_t dev;
	ino_t ino;			/* 0: no group */
};

/* What has come of an election. */
enum election_result {
	ELECTION_NOTHING,		/* nothing that was not taken yet */
	ELECTION_LINK,			/* a policy: link and board */
	ELECTION_ALONE,			/* none but ourselves */
};

/* ---- The watcher ---- */

/** The group that limits our client has this identity; 0, 0: nothing limits it. */
void election_group(dev_t dev, ino_t ino);

/* ---- The arena's thread ---- */

/**
 * Our client, process @pid, has said @hello, with @n descriptors, of which copies are made.  Before
 * the arena is in the registry.  There is no election before that.
 */
void election_hello(const struct tri_msg *hello, pid_t pid, const int *fds, size_t n);

/**
 * The newest result that was not taken yet, and the descriptors of link and board that belong to
 * it, or -1.
 */
enum election_result election_take(int given[2]);

/** The link with an elected policy is over: elect again. */
void election_link_over(void);

/** The agent has handed over a policy, or that is gone: while it is there we take no part. */
void election_bar(bool barred);

/* ---- The election's thread ---- */

/* What the others have said. */
struct election_state {
	/* the group to elect for; none while we are barred, or before HELLO */
	struct election_key wanted;
	bool barred;
	bool over;			/* a link has ended since the last call */
	bool failed;			/* the last election has, and that is not long ago */
};

/* What our client has said as it came: for a policy.  Constant once a group is wanted. */
struct election_hello {
	struct tri_msg msg;
	int fds[TRI_HELLO_FDS];
	size_t nfds;
};

/**
 * Once, before the thread: an eventfd that is readable when election_read() has something new.  -1:
 * errno.
 */
int election_open(void);

/** There is no thread after all: nobody takes part. */
void election_close(void);

struct election_state election_read(void);
const struct election_hello *election_client(void);

/** It has failed: election_group() has it tried again, but not soon. */
void election_failed(void);

/**
 * Replace the result.  Descriptors of one that nobody took are closed.  The caller has the arena's
 * thread take it.
 */
void election_answer(enum election_result result, int sock, int board);

#endif
