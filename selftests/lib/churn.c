// SPDX-License-Identifier: GPL-2.0-only
/* churn.c - see churn.h */
#include "churn.h"

static uint64_t churn_random(struct churn *c)
{
	return draw(&c->rnd) >> 16;
}

bool churn_put(struct churn *c, uint64_t slot)
{
	struct churn_cell *cell = tri_alloc(sizeof(*cell)), *old = c->table[slot];

	if (!cell)
		return false;
	if (old && (old->slot != slot || old->self != old || (old->leaf && *old->leaf != slot)))
		c->errors++;
	cell->slot = slot;
	tri_store(&cell->self, cell);
	tri_store(&c->table[slot], cell);
	tri_store(&cell->leaf, tri_alloc_leaf(CHURN_LEAF));
	if (!cell->leaf)
		return false;
	*cell->leaf = slot;
	return true;
}

bool churn_start(struct churn *c, uint64_t bytes, uint64_t seed)
{
	uint64_t i;

	c->rnd = seed | 1;
	c->slots = bytes / CHURN_SLOT;
	tri_store(&c->table, tri_alloc(c->slots * sizeof(*c->table)));
	if (!c->table)
		return false;
	for (i = 0; i < c->slots; i++)
		if (!churn_put(c, i))
			return false;
	return true;
}

bool churn_step(struct churn *c)
{
	c->steps++;
	if (churn_put(c, churn_random(c) % c->slots))
		return true;
	c->refused++;
	return false;
}
