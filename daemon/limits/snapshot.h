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

/* A limit, and what counts against it, for the length of a tick. */
struct account {
	struct limit_group *g;
	struct pressure_state *state;	/* of @g: its own, or that of the chosen limit */
	bool chosen;
	uint64_t soft_bytes;
	uint64_t hard_bytes;		/* what must not be reached */
	uint64_t used_bytes;
	uint64_t other_bytes;		/* of that, what is no arena that has a share */
	uint64_t room_bytes;		/* for those that have one */
};

struct snapshot {
	struct watched_arena **arenas;	/* those that have a share */
	struct shares shares;		/* theirs, in the same order */
	struct account *accounts;
	size_t naccounts;
	uint64_t chosen_bytes, now;
	bool active, sleepy;
	bool young;			/* its one client has just come */
};

/**
 * Read the arenas of @top's tree, and then each limit that holds there.  The caller has set
 * @chosen_bytes and @now, and has made room.
 */
void snapshot_read(const struct groups *s, struct limit_group *top, struct snapshot *snap);

/** Whether @m counts against the limit of @a. */
bool snapshot_counts(const struct watched_arena *m, const struct account *a);

/** Have the next call of shares.h be about the arenas that count against the limit of @a. */
void snapshot_select(struct snapshot *snap, const struct account *a);

#endif
