/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * election.h - how the threads of a private collector take part in the election of a policy
 *
 * The election has a thread of its own (daemon/service/elect.c).  The watcher says which group
 * limits our client, the arena's thread what has become of its policy, and the election's thread
 * what the result is.  All of that is kept here, under one lock, which is held for a few
 * instructions and never during a system call that waits.
 */
#ifndef TRICOLOR_ELECTION_H
#define TRICOLOR_ELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/proto/client.h"

/* What identifies those that share a limit: device and inode of the group's file. */
struct election_key {
	dev_t dev;
	ino_t ino;			/* 0: no group */
};

/* The result of an election. */
enum election_result {
	ELECTION_NOTHING,		/* there is no new result */
	ELECTION_LINK,			/* there is a policy: link and board */
	ELECTION_ALONE,			/* there is none but ourselves */
};

/* ---- The watcher ---- */

/** Say which group limits our client; 0, 0: none does. */
void election_group(dev_t dev, ino_t ino);

/* ---- The arena's thread ---- */

/**
 * Our client, process @pid, has said @hello, with @n descriptors, of which copies are made.  It is
 * called before the arena is in the registry.  There is no election before that.
 */
void election_hello(const struct tri_msg *hello, pid_t pid, const int *fds, size_t n);

/**
 * Take the newest result, if it was not taken yet, and its descriptors of link and board, or -1.
 */
enum election_result election_take(int given[2]);

/** The link with an elected policy has ended, so there is to be another election. */
void election_link_over(void);

/** The agent has handed over a policy, or that is gone.  While it is there we take no part. */
void election_bar(bool barred);

/* ---- The election's thread ---- */

/* What the others have said. */
struct election_state {
	/* the group in which to elect; none while we are barred, or before HELLO */
	struct election_key wanted;
	bool barred;
	bool over;			/* a link has ended since the last call */
	bool failed;			/* the last election has failed, not long ago */
};

/* The HELLO of our client, to be sent to a policy.  It is constant once a group is wanted. */
struct election_hello {
	struct tri_msg msg;
	int fds[TRI_HELLO_FDS];
	size_t nfds;
};

/**
 * To be called once, before the thread starts.  Returns an eventfd that is readable when
 * election_read() has something new; -1: errno.
 */
int election_open(void);

/** The thread could not be started, so we take no part. */
void election_close(void);

struct election_state election_read(void);
const struct election_hello *election_client(void);

/** The election has failed.  After some time election_group() has it tried again. */
void election_failed(void);

/**
 * Set the result.  Descriptors of an earlier one that was not taken are closed.  The caller wakes
 * the arena's thread, which takes it.
 */
void election_answer(enum election_result result, int sock, int board);

#endif
