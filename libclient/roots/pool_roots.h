/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool_roots.h - what keeps the objects in pools alive, and for how long
 *
 * A pool does not refer to what it holds.  All pools together have one root word for each
 * *generation*, which is what was put between the beginnings of two cycles.  Such a word leads to
 * the tables of that generation (pool.c).  Pools find their tables by words that the collector
 * does not scan.  Each has the number of the table's generation beside it, so that a thread can
 * tell whether the table still exists.
 *
 * When a cycle begins, the agent begins a new generation.  The last one stays a root for this
 * cycle: it is the *victim*, from which pools still take.  The one before is a root no longer.  So
 * a cycle costs two stores, and lets go of the objects of all pools, also of those that nobody
 * uses.
 *
 * The agent needs no lock.  A thread is inside from where it reads `epoch` to
 * its last access to a table, and stores only into the word of the generation that it has read.  H1
 * waits until each thread has been outside.  So at most one generation can begin meanwhile, after
 * which the thread's word is the victim's, and its table is a root yet.  The word of the new
 * generation is the one that the old victim had.  It is cleared before `epoch` is stored, so no
 * thread stores there yet.  selftests/model/pool.pml is a model of this.
 */
#ifndef TRI_POOL_ROOTS_H
#define TRI_POOL_ROOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../base/lock.h"

struct tri_thread;

extern struct tri_pool_roots {
	tri_au64 epoch;			/* the generation now; 2 or more, so that 0 and the one
					 * before it are none; written by the agent */
	void *tables[2];		/* word epoch % 2 leads to the tables of a generation;
					 * threads store with the lock, and through the barrier */
	struct tri_lock lock;		/* of threads that add tables; taken last of all, inside,
					 * for some stores; a child of fork() resets it */
} tri_pool_roots TRI_HIDDEN;

void tri_pool_roots_turn(uint32_t cycle) TRI_HIDDEN;
bool tri_pool_roots_victim(void) TRI_HIDDEN;
void tri_pool_roots_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_pool_roots_reset(void) TRI_HIDDEN;

#endif
