// SPDX-License-Identifier: GPL-2.0-only
/*
 * shares.c - shares of arenas for which several limits hold
 *
 * Limits are nested: one holds for some arenas, the next one for these and others.  Each limit is
 * split by itself (budget.c), from the innermost outwards, and the part that an inner limit gives
 * an arena is a cap for the next split.  An arena's share is the least of all its parts.  So for
 * each limit the sum of the shares is at most its room.  What an inner limit denies an arena goes
 * to other arenas under the outer limits.
 *
 * What an outer limit denies an arena does not go to other arenas under its inner limits.  These
 * are under the outer limit themselves, which gives out all of its room.
 */
#include "shares.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool shares_begin(struct shares *s, size_t n)
{
	size_t i, room = n ? n : 1;

	memset(s, 0, sizeof(*s));
	s->arenas = calloc(room, sizeof(*s->arenas));
	s->share_bytes = calloc(room, sizeof(*s->share_bytes));
	s->selected = calloc(room, sizeof(*s->selected));
	s->scratch = calloc(room, sizeof(*s->scratch));
	s->scratch_shares = calloc(room, sizeof(*s->scratch_shares));
	if (!s->arenas || !s->share_bytes || !s->selected || !s->scratch || !s->scratch_shares)
		return false;
	s->n = n;
	for (i = 0; i < n; i++)
		s->arenas[i].want_bytes = UINT64_MAX;
	return true;
}

void shares_free(struct shares *s)
{
	free(s->arenas);
	free(s->share_bytes);
	free(s->selected);
	free(s->scratch);
	free(s->scratch_shares);
}

uint64_t shares_wanted(const struct shares *s)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < s->nselected; i++)
		if (__builtin_add_overflow(sum, s->arenas[s->selected[i]].want_bytes, &sum))
			return UINT64_MAX;
	return sum;
}

void shares_limit(struct shares *s, uint64_t room_bytes)
{
	size_t i;

	assert(s->nselected <= s->n);
	for (i = 0; i < s->nselected; i++) {
		const struct budget_arena *a = &s->arenas[s->selected[i]];

		s->scratch[i] = *a;
		if (a->want_bytes < a->cap_bytes)
			s->scratch[i].cap_bytes = a->want_bytes;
	}
	budget_split(s->scratch, s->nselected, room_bytes);
	for (i = 0; i < s->nselected; i++) {
		struct budget_arena *a = &s->arenas[s->selected[i]];

		if (s->scratch[i].want_bytes < a->want_bytes)
			a->want_bytes = s->scratch[i].want_bytes;
	}
}

void shares_settle(struct shares *s, uint64_t room_bytes)
{
	size_t i;

	for (i = 0; i < s->nselected; i++) {
		s->scratch[i] = s->arenas[s->selected[i]];
		s->scratch_shares[i] = s->share_bytes[s->selected[i]];
	}
	budget_settle(s->scratch, s->nselected, room_bytes, s->scratch_shares);
	for (i = 0; i < s->nselected; i++)
		s->share_bytes[s->selected[i]] = s->scratch_shares[i];
}
