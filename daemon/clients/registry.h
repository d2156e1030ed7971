/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * registry.h - the arenas that this daemon serves, for all threads but their own
 *
 * An arena's thread shares nothing of its struct arena.  It publishes what others may know on the
 * arena's board (board.h).  Others leave orders there, which the thread takes from time to time.
 *
 * An arena's thread takes the lock of the list only when the arena enters and leaves.  Others hold
 * it for a few instructions, and never during I/O, a wait, or a copy of figures.
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
 * What the watcher has found out about the client's memory cgroup.
 */
struct registry_seen {
	uint32_t by;			/* enum control_seen */
	uint32_t levels;		/* levels that are seen, from its own upwards */
	char why[128];			/* why its limit can't be seen, or "" */
};

/*
 * An entry.  The arena's thread makes it, and the last reference frees it.
 */
struct registry_arena {
	/* Constant. */
	/* what the client says of itself, or NULL; claim.h says whose its files are */
	struct claim *claim;
	uint64_t id;			/* never used again by this daemon */
	int32_t pid;			/* SO_PEERCRED; 0: it is not in our PID namespace */
	int pidfd;			/* a copy of peer_open()'s, or negative */
	uint32_t uid, gid;
	char comm[16];			/* as we see it, or else as it says */
	int64_t attached_s;		/* wall clock */
	uint64_t attached_ns;		/* CLOCK_MONOTONIC */
	uint64_t arena_bytes;		/* address space of the heap */
	int order_fd;			/* eventfd: readable when there are orders; -1: see link */
	int link;			/* socket of the process that marks it; -1: this one does */
	pid_t marker;			/* the PID that this process says it has; 0: none */
	struct board *board;		/* `own`, or that of `shared` */
	struct link_board shared;

	/* Written by the arena's thread, or its client's where another process marks it. */
	_Atomic(int) file;		/* a duplicate of the arena's, or -1 */
	_Atomic(bool) gone;		/* it has left, and meets no more orders */
	_Atomic(uint32_t) news;		/* futex: an order was met, or the arena has left */

	/* Any thread. */
	pthread_mutex_t last_lock;
	struct board_figures last;	/* last_lock; as read last, where another process writes */
	_Atomic(uint32_t) refs;

	/* The list's lock. */
	struct registry_arena *next, **prev;
	uint32_t asked[ORDERS];		/* orders so far */
	char *cgroup;			/* path of the client's; NULL: it is not known */
	struct registry_seen seen;

	struct board own;		/* the board of an arena that this process marks */
};

/* ---- The arena's thread ---- */

/**
 * Add an arena to the list; NULL: errno.  @pid, @uid, @gid: its client's; @pidfd: what peer_open()
 * has returned for the client, of which a copy is made.  @claim is taken in any case.
 */
struct registry_arena *registry_enter(pid_t pid, int pidfd, uid_t uid, gid_t gid,
				      uint64_t arena_bytes, struct claim *claim);

/**
 * The same for an arena that another process marks, which says that its PID is @marker.  @b: the
 * board, which is taken; @sock: the link, of which a copy is made.
 */
struct registry_arena *registry_enter_linked(pid_t pid, int pidfd, uid_t uid, gid_t gid,
					     uint64_t arena_bytes, struct claim *claim,
					     const struct link_board *b, int sock, pid_t marker);

static inline bool registry_is_linked(const struct registry_arena *r)
{
	return r->link >= 0;
}

/** Leave the list.  Those who wait for orders are told.  The caller's reference is dropped. */
void registry_leave(struct registry_arena *r);

/** Let others read the arena's file by a copy of @fd: its size, and what pread() gives. */
void registry_set_file(struct registry_arena *r, int fd);

/** Orders were met.  Those who wait for that read the board. */
void registry_notify(struct registry_arena *r);

/* ---- Everybody else ---- */

/** A reference to arena @id, or NULL. */
struct registry_arena *registry_get(uint64_t id);
void registry_put(struct registry_arena *r);

/** References to up to @room arenas, oldest first.  Returns how many there are in all. */
size_t registry_all(struct registry_arena **list, size_t room);

/** A consistent copy of the figures, of another process's arena maybe not of the newest. */
void registry_read(struct registry_arena *r, struct board_figures *f);

/** Whether any figures were published. */
bool registry_has_figures(struct registry_arena *r);

/**
 * Whether what has just been found by the client's PID is about the client, and not about another
 * process that has this PID now.
 */
bool registry_client_lives(const struct registry_arena *r);

/** Leave an order.  Returns its number for registry_wait(). */
uint32_t registry_order(struct registry_arena *r, enum board_order kind, int64_t value);

/** Tell an arena that another process marks whether the watcher sleeps. */
void registry_asleep(struct registry_arena *r, bool asleep);

/** Wait until order @number is met.  Returns 0; -ETIMEDOUT at @until_ns; -ESRCH: it has left. */
int registry_wait(struct registry_arena *r, enum board_order kind, uint32_t number,
		  uint64_t until_ns);

/** Wait until the arena has left, at most until @until_ns.  False: it has not. */
bool registry_wait_gone(struct registry_arena *r, uint64_t until_ns);

/** Wait until the list is empty, at most until @until_ns.  Returns how many arenas are left. */
size_t registry_wait_empty(uint64_t until_ns);

size_t registry_count(void);

/** Returns a new eventfd that is readable after arenas have come or gone, or -errno. */
int registry_watch(void);

/** The cgroup of @r's client.  registry_cgroup() is false if it is not known or does not fit. */
void registry_set_cgroup(struct registry_arena *r, const char *path);
bool registry_cgroup(struct registry_arena *r, char *path, size_t room);

void registry_set_seen(struct registry_arena *r, const struct registry_seen *seen);
struct registry_seen registry_seen(struct registry_arena *r);

/**
 * The client's name for people: its PID where that is known here, else what the client says of
 * itself.
 */
#define REGISTRY_NAME 160
const char *registry_name(const struct registry_arena *r, char name[static REGISTRY_NAME]);

#endif
