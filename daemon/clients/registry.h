/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * registry.h - the arenas that this daemon serves, for all threads but their own
 *
 * An arena's thread shares nothing of its struct arena.  What others may know of an arena is on its
 * board (board.h), where its thread publishes it.  What others want of it they leave there as an
 * order, which its thread takes when it gets there.
 *
 * The lock of the list is taken by an arena's thread only when the arena enters and leaves.  Others
 * hold it for a few pointers, and never during I/O, a wait, or a copy of figures.
 */
#ifndef TRICOLOR_REGISTRY_H
#define TRICOLOR_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "board.h"
#include "claim.h"
#include "link.h"

/*
 * What is known of the client's memory cgroup, and how; the watcher's answer, once it has looked.
 */
struct registry_seen {
	uint32_t by;			/* enum control_seen */
	uint32_t levels;		/* from its own upwards */
	char why[128];			/* its limit can't be seen */
};

/* From attach to the last reference.  Made by the arena's thread; freed by whoever lets go last. */
struct registry_arena {
	/* Constant. */
	/* what the client says of itself: see there whose its files are; NULL */
	struct claim *claim;
	uint64_t id;			/* never used again by this daemon */
	int32_t pid; /* SO_PEERCRED, as this daemon sees it; 0: not in its namespace */
	int pidfd;			/* of peer_open(): ours, if there is one */
	uint32_t uid, gid;
	char comm[16];			/* as we see it, or else as it says */
	int64_t attached_s;		/* wall clock */
	uint64_t attached_ns;		/* CLOCK_MONOTONIC */
	uint64_t arena_bytes;		/* address space of the heap */
	int order_fd;			/* eventfd: readable when there are orders; -1: see link */
	int link;			/* socket of the process that marks it; -1: this one does */
	pid_t marker;	/* that process, as it says, in its own namespace; 0: it does not */
	struct board *board;		/* its own, or that of shared */
	struct link_board shared;

	/* Written by the arena's thread, or its client's where another process marks it. */
	_Atomic(int) file;		/* a duplicate of the arena's, or -1 */
	_Atomic(bool) gone;		/* it has left; orders will not be met */
	_Atomic(uint32_t) news;		/* futex: an order was met, or the arena left */

	/* Any thread. */
	pthread_mutex_t last_lock;
	struct board_figures last;	/* last_lock; as read last, where another process writes */
	_Atomic(uint32_t) refs;

	/* The list's lock. */
	struct registry_arena *next, **prev;
	uint32_t asked[ORDERS];		/* orders so far */
	char *cgroup;			/* path of the client's; NULL: not known (yet) */
	struct registry_seen seen;

	struct board own;		/* the board, of an arena of this process */
};

/* ---- The arena's thread ---- */

/**
 * A new entry of the list; NULL and errno.  @pid, @uid, @gid: of its client; @pidfd: what
 * peer_open() has returned for that, of which there will be a duplicate.  @claim is taken in any
 * case.
 */
struct registry_arena *registry_enter(pid_t pid, int pidfd, uid_t uid, gid_t gid,
				      uint64_t arena_bytes, struct claim *claim);

/**
 * The same for an arena that another process marks, which calls itself @marker.  @b: its board,
 * which is ours from here on; @sock: the link, of which there will be a duplicate.
 */
struct registry_arena *registry_enter_linked(pid_t pid, int pidfd, uid_t uid, gid_t gid,
					     uint64_t arena_bytes, struct claim *claim,
					     const struct link_board *b, int sock, pid_t marker);

static inline bool registry_is_linked(const struct registry_arena *r)
{
	return r->link >= 0;
}

/** Out of the list.  Whoever waits for an order is told.  The caller's reference is gone. */
void registry_leave(struct registry_arena *r);

/** Others may look at the arena's file: size, and what pread() gives. */
void registry_set_file(struct registry_arena *r, int fd);

/** Orders were met: who waits for that looks at the board. */
void registry_notify(struct registry_arena *r);

/* ---- Everybody else ---- */

/** A reference to arena @id, or NULL. */
struct registry_arena *registry_get(uint64_t id);
void registry_put(struct registry_arena *r);

/** References to up to @room arenas, oldest first.  Returns how many there are in all. */
size_t registry_all(struct registry_arena **list, size_t room);

/** A consistent copy; of an arena that another process marks maybe not the newest. */
void registry_read(struct registry_arena *r, struct board_figures *f);

/** Whether any were published. */
bool registry_has_figures(struct registry_arena *r);

/**
 * Whether what has just been found by the client's PID is about the client, and not about who has
 * its number now.
 */
bool registry_client_lives(const struct registry_arena *r);

/** Leave an order.  Returns its number for registry_wait(). */
uint32_t registry_order(struct registry_arena *r, enum board_order kind, int64_t value);

/** The watcher falls asleep, or is awake: an arena that another process marks is to know. */
void registry_asleep(struct registry_arena *r, bool asleep);

/** Wait until order @number was met: 0; -ETIMEDOUT at @until_ns; -ESRCH: the arena has left. */
int registry_wait(struct registry_arena *r, enum board_order kind, uint32_t number,
		  uint64_t until_ns);

/** Wait until the arena has left, at most until @until_ns.  False: it has not. */
bool registry_wait_gone(struct registry_arena *r, uint64_t until_ns);

/** Wait until the list is empty, at most until @until_ns.  Returns how many arenas are left. */
size_t registry_wait_empty(uint64_t until_ns);

size_t registry_count(void);

/** An eventfd, readable after arenas came or went, for one watcher more.  Negative: -errno. */
int registry_watch(void);

/** The cgroup of @r's client.  registry_cgroup(): false: not known, or longer than @room. */
void registry_set_cgroup(struct registry_arena *r, const char *path);
bool registry_cgroup(struct registry_arena *r, char *path, size_t room);

void registry_set_seen(struct registry_arena *r, const struct registry_seen *seen);
struct registry_seen registry_seen(struct registry_arena *r);

/**
 * The client for people: by its PID where that means something here, else by what it says of
 * itself.
 */
#define REGISTRY_NAME 160
const char *registry_name(const struct registry_arena *r, char name[static REGISTRY_NAME]);

#endif
