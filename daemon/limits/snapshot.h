/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * snapshot.h - what a tick has read of the arenas and limits of a tree: see snapshot.c
 */
#ifndef TRICOLOR_SNAPSHOT_H
#define TRICOLOR_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "groups.h"
#include "shares.h"

/* A limit, and what counts against it: lives as long as a tick. */
struct account {
	struct limit_group *g;
	struct pressure_state *state;	/* of @g: its own, or that of the chosen limit */
	bool chosen;			/* the limit is the one for all clients of @g */
	uint64_t soft_bytes;
	uint64_t hard_bytes;		/* the real limit, which must not be reached */
	uint64_t used_bytes;
	uint64_t other_bytes;		/* of that, all but arenas that have a share */
	uint64_t room_bytes;		/* for arenas that have a share */
};

/* What was read of a tree: lives as long as a tick. */
struct snapshot {
	struct watched_arena **arenas;	/* the arenas that have a share */
	struct shares shares;		/* their shares, in the same order */
	struct account *accounts;
	size_t naccounts;
	uint64_t chosen_bytes, now;
	bool active;			/* an arena has allocated, or had a cycle */
	bool sleepy;			/* the watcher may sleep */
	bool young;			/* its only client has just come */
};

/**
 * Read the arenas of @top's tree, and then each limit that holds there.  The caller has set
 * @chosen_bytes and @now, and has allocated the arrays.
 */
void snapshot_read(const struct groups *s, struct limit_group *top, struct snapshot *snap);

/** Whether @m counts against the limit of @a. */
bool snapshot_counts(const struct watched_arena *m, const struct account *a);

/** Have the next call of shares.h be about the arenas that count against the limit of @a. */
void snapshot_select(struct snapshot *snap, const struct account *a);

#endif
