/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * churn.h - a client whose live heap has a given size, and that keeps replacing parts of it
 *
 * The heap is a table of slots.  Each has an object, which points to a leaf object.  Each step
 * replaces a random one.  Every object knows its slot, so an object that was freed or mixed up is
 * noticed.
 */
#ifndef TRICOLOR_SELFTESTS_CHURN_H
#define TRICOLOR_SELFTESTS_CHURN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "draw.h"
#include "tricolor.h"

#define CHURN_CELL 112			/* bytes of an object */
#define CHURN_LEAF 128			/* bytes of the leaf object that it points to */
#define CHURN_SLOT (CHURN_CELL + CHURN_LEAF + 8)

struct churn_cell {
	struct churn_cell *self;
	uint64_t *leaf;
	uint64_t slot;
	uint64_t pad[(CHURN_CELL - 24) / 8];
};

struct churn {
	struct churn_cell **table;	/* the struct has to be a root: a global, or on a stack */
	uint64_t slots;
	uint64_t rnd, steps, errors, refused;
};

/** Put a new object into @slot.  False: no memory. */
bool churn_put(struct churn *c, uint64_t slot);

/** Make a table for @bytes of objects, and fill all of it.  False: no memory. */
bool churn_start(struct churn *c, uint64_t bytes, uint64_t seed);

/** Replace the object of a random slot.  False: no memory. */
bool churn_step(struct churn *c);

#endif
