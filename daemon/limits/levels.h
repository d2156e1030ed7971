/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * levels.h - the control groups that clients are in, and those above: see levels.c.  The watcher's.
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

/* From the first client in it, or below, until they are tidied. */
struct level {
	dev_t dev;			/* of the file of its limit, or else of its figures */
	ino_t ino;
	int64_t owner; /* LEVEL_OURS: we have found it; or who says that it is there: a user, or
					 * less than that: one client of nobody knows whom */
	struct level *parent;		/* NULL: the highest that is seen */
	struct tri_cgroup_files files;
	char *name;			/* for people */
	bool used;			/* while they are tidied */
	struct level *next;
};

struct levels {
	struct level *first;
	int limits_fd;			/* inotify: limits are written */
	bool deaf;			/* there is one whose limit can be written without that */
};

/* A limit that holds for a group: its own, or that of one above it. */
struct level_limit {
	uint64_t limit_bytes;		/* of memory.max and memory.high the less */
	struct level *level;		/* that has it: its use counts */
	bool hidden;			/* it is that of a group above what can be seen */
};

#define LEVEL_LIMITS 8			/* more that grow from group to group are not looked at */

/**
 * The group that was found at @cg, with those above; NULL: no file of it can be read, or no memory.
 */
struct level *levels_at(struct levels *s, const struct tri_cgroup *cg);

/** The group that @c claims, for clients of @owner, with those above; NULL.  Takes the files. */
struct level *levels_claimed(struct levels *s, struct claim *c, int64_t owner);

/** Whether they are the same group, whoever says so. */
bool levels_same(const struct level *a, const struct level *b);

/** How many are seen, from @l on. */
unsigned int levels_seen(const struct level *l);

/**
 * The memory limits from @l upwards that may leave the least room: the tightest, and then, going up
 * from there, each that is larger than those before it.  Returns how many there are, up to @room.
 */
size_t levels_limits(struct level *l, struct level_limit *limits, size_t room);

/** Let go of those that are not `used`.  Who is used has used parents. */
void levels_tidy(struct levels *s);

#endif
