/* SPDX-License-Identifier: GPL-2.0-only */
/* shares.h - parts of arenas for which several limits hold: see shares.c */
#ifndef TRICOLOR_SHARES_H
#define TRICOLOR_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"

/* The arenas of a tree, from shares_begin() to shares_free(). */
struct shares {
	struct budget_arena *arenas;	/* the caller fills in what they ask for */
	uint64_t *share_bytes;		/* and what they have; shares_settle() changes it */
	size_t n;

	size_t *selected;		/* indices of the arenas that the next call is about */
	size_t nselected;

	struct budget_arena *scratch;	/* their copies */
	uint64_t *scratch_shares;
};

/** Room for @n arenas that want all there is.  False: no memory; shares_free() all the same. */
bool shares_begin(struct shares *s, size_t n);
void shares_free(struct shares *s);

/** What @selected would have as things are; UINT64_MAX: somebody is not limited yet. */
uint64_t shares_wanted(const struct shares *s);

/** @selected may have @room_bytes together.  Limits that hold for fewer arenas come first. */
void shares_limit(struct shares *s, uint64_t room_bytes);

/** Move what @selected have towards what they want, as budget_settle(). */
void shares_settle(struct shares *s, uint64_t room_bytes);

#endif
