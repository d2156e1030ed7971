/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * churn.h - a client whose live heap has a given size, and that keeps replacing parts of it
 *
 * The heap is a table of slots, each with an object and what that points to.  Each step replaces a
 * random one.  Every object knows its slot, so that one that was freed or mixed up shows.
 */
#ifndef TRICOLOR_SELFTESTS_CHURN_H
#define TRICOLOR_SELFTESTS_CHURN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "draw.h"
#include "tricolor.h"

#define CHURN_CELL 112			/* bytes of an object … */
#define CHURN_LEAF 128			/* … and of the one that it points to */
#define CHURN_SLOT (CHURN_CELL + CHURN_LEAF + 8)

struct churn_cell {
	struct churn_cell *self;
	uint64_t *leaf;
	uint64_t slot;
	uint64_t pad[(CHURN_CELL - 24) / 8];
};

struct churn {
	struct churn_cell **table;	/* the object has to be a root: global, or on a stack */
	uint64_t slots;
	uint64_t rnd, steps, errors, refused;
};

static inline uint64_t churn_random(struct churn *c)
{
	return draw(&c->rnd) >> 16;
}

/* Put a new object into @slot.  False: no memory. */
static inline bool churn_put(struct churn *c, uint64_t slot)
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

static inline bool churn_start(struct churn *c, uint64_t bytes, uint64_t seed)
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

static inline bool churn_step(struct churn *c)
{
	c->steps++;
	if (churn_put(c, churn_random(c) % c->slots))
		return true;
	c->refused++;
	return false;
}

/* Let go of all but every @nth object. */
static inline void churn_thin(struct churn *c, uint64_t nth)
{
	uint64_t i;

	for (i = 0; i < c->slots; i++)
		if (i % nth)
			tri_store(&c->table[i], NULL);
}

#endif
