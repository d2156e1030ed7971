// SPDX-License-Identifier: LGPL-2.1-or-later
/* pool_roots.c - the generations of pooled objects: see pool_roots.h */
#include <string.h>

#include "pool_roots.h"
#include "scan.h"

struct tri_pool_roots tri_pool_roots = { .epoch = 2 };

static uint32_t turned;			/* the last cycle that began a generation; the agent's */

/**
 * Agent: begin a new generation as @cycle begins.  Called with list_lock and before any barrier is
 * on, so that nothing is marked yet and the word is cleared without shading.  list_lock keeps the
 * child of a fork() from copying a table of a later generation than it knows of.
 *
 * A cycle that was abandoned has freed nothing.  The next one has the same number, and goes on with
 * the generations as they are.
 */
void tri_pool_roots_turn(uint32_t cycle)
{
	uint64_t epoch = tri_read(&tri_pool_roots.epoch) + 1;

	if (cycle == turned)
		return;
	turned = cycle;
	/* This is the word of the old victim. */
	__atomic_store_n(&tri_pool_roots.tables[epoch % 2], NULL, __ATOMIC_RELAXED);
	/* Release: pairs with the loads of `epoch` in pool.c. */
	tri_write_release(&tri_pool_roots.epoch, epoch);
}

/** Whether there is a victim, which the next cycle lets go of. */
bool tri_pool_roots_victim(void)
{
	uint64_t victim = tri_read(&tri_pool_roots.epoch) - 1;

	return __atomic_load_n(&tri_pool_roots.tables[victim % 2], __ATOMIC_RELAXED);
}

/** Agent: scan the roots.  A table is the first of a list of all those of its generation. */
void tri_pool_roots_scan(struct tri_thread *to, bool all)
{
	tri_scan_range(to, (uintptr_t)tri_pool_roots.tables,
		       (uintptr_t)(tri_pool_roots.tables + 2), all);
}

/**
 * In the child of a fork(): all pools are empty.  Other threads of the parent may have changed
 * tables while they were copied, so that these may name objects which the child does not have.
 */
void tri_pool_roots_reset(void)
{
	memset(tri_pool_roots.tables, 0, sizeof(tri_pool_roots.tables));
	tri_pool_roots.lock = (struct tri_lock){ 0 };
	tri_write(&tri_pool_roots.epoch, tri_read(&tri_pool_roots.epoch) + 2);
	turned = 0;
}
