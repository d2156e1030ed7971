/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * forest.h - a load on the heap that knows at any time what must be there
 *
 * The forest of a thread is a table of chains, which is itself an object of the heap.  A chain of n
 * nodes is a function of its seed: its nodes, their kinds and sizes and the bytes of their payloads
 * are computed again from the shadow in malloc memory when the chain is checked.  Chains are
 * replaced, and moved between slots, so that for a moment a pointer may be in a register alone.
 * Now and then a payload is large.
 */
#ifndef TRICOLOR_SELFTESTS_FOREST_H
#define TRICOLOR_SELFTESTS_FOREST_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "process.h"
#include "tricolor.h"

struct forest_node {
	struct forest_node *next;
	unsigned char *payload;
	uint64_t id, bytes;
};
TRI_TYPE(forest_node_type, struct forest_node, next, payload);

struct forest_chain {			/* the shadow of one slot */
	uint64_t seed;
	uint32_t nodes;
};

struct forest {
	struct forest_node **table;	/* held by a handle: this struct is not a root */
	tri_handle *handle;
	struct forest_chain *shadow;
	unsigned int slots;
	uint64_t rnd;
	uint64_t ops, errors;
	uint64_t worst_ns;		/* longest single step */
	unsigned int large_one_in;	/* payloads; 0: none */
};

/** A forest of @slots chains, all empty.  False: no memory. */
bool forest_init(struct forest *f, unsigned int slots, uint64_t seed);

/** One step of the load.  False when there is no memory. */
bool forest_step(struct forest *f);

/** Check every chain; what is wrong is counted in f->errors. */
void forest_check_all(struct forest *f);

/** Release the table and the shadow. */
void forest_drop(struct forest *f);

#endif
