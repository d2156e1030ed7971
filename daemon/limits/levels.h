/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * levels.h - the control groups that clients are in, and those above: see levels.c
 *
 * All of it belongs to the watcher's thread.
 */
#ifndef TRICOLOR_LEVELS_H
#define TRICOLOR_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/clients/claim.h"
#include "core/system/cgroup.h"
#include "core/system/cgroup_files.h"

#define LEVEL_OURS (-1)

/* A control group: from the first client in it, or below, until levels_tidy(). */
struct level {
	dev_t dev;			/* of the file of its limit, or else of its figures */
	ino_t ino;
	/*
	 * LEVEL_OURS: we have found it.  Else it was claimed, by clients of this user, or, below
	 * LEVEL_OURS, by one client whose user is not known.
	 */
	int64_t owner;
	struct level *parent;		/* NULL: the highest that is seen */
	struct tri_cgroup_files files;
	char *name;			/* for people */
	bool used;			/* for levels_tidy() */
	struct level *next;
};

struct levels {
	struct level *first;
	int limits_fd;			/* inotify: readable when a limit is written */
	bool must_poll;			/* a limit can be written without inotify telling */
};

/* A limit that holds for a group: its own, or that of one above it. */
struct level_limit {
	uint64_t limit_bytes;		/* the smaller one of memory.max and memory.high */
	struct level *level;		/* the group whose use counts against it */
	bool hidden;			/* it belongs to a group above those that are seen */
};

#define LEVEL_LIMITS 8			/* most limits, each larger than the last, that count */

/**
 * The group that was found at @cg, with those above.  NULL: none of its files can be read, or there
 * is no memory.
 */
struct level *levels_at(struct levels *s, const struct tri_cgroup *cg);

/** The group that @c claims for clients of @owner, with those above, or NULL.  Takes the files. */
struct level *levels_claimed(struct levels *s, struct claim *c, int64_t owner);

/** Whether @a and @b are the same group, whoever has found or claimed them. */
bool levels_same(const struct level *a, const struct level *b);

/** How many levels are seen, from @l upwards. */
unsigned int levels_seen(const struct level *l);

/**
 * The memory limits from @l upwards that may leave the least room: the tightest, and then, going up
 * from there, each that is larger than those before it.  Returns how many there are, up to @room.
 */
size_t levels_limits(struct level *l, struct level_limit *limits, size_t room);

/** Free those that are not `used`.  The parents of one that is used are, too. */
void levels_tidy(struct levels *s);

#endif
