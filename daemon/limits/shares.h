/* SPDX-License-Identifier: GPL-2.0-only */
/* shares.h - shares of arenas for which several limits hold: see shares.c */
#ifndef TRICOLOR_SHARES_H
#define TRICOLOR_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"

/* The arenas of a tree, from shares_begin() to shares_free(). */
struct shares {
	struct budget_arena *arenas;	/* the caller fills in all but want_bytes */
	uint64_t *share_bytes;		/* what they have, by the caller and shares_settle() */
	size_t n;

	size_t *selected;		/* indices of the arenas that the next call is about */
	size_t nselected;

	struct budget_arena *scratch;	/* copies of those that are selected */
	uint64_t *scratch_shares;
};

/**
 * Begin with @n arenas, each of which may have any amount.  False: no memory; shares_free() is to
 * be called nevertheless.
 */
bool shares_begin(struct shares *s, size_t n);
void shares_free(struct shares *s);

/** The sum of what @selected may have so far; UINT64_MAX: one of them is not limited yet. */
uint64_t shares_wanted(const struct shares *s);

/** Let @selected have @room_bytes together.  Limits that hold for fewer arenas come first. */
void shares_limit(struct shares *s, uint64_t room_bytes);

/** Change the shares of @selected, as budget_settle() does. */
void shares_settle(struct shares *s, uint64_t room_bytes);

#endif
