/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freed.h - objects that the program frees itself: see free.c and freed.c */
#ifndef TRI_FREED_H
#define TRI_FREED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

struct tri_thread;

/* Larger objects are not noted while they can be freed: 64 of them would be more than 64 KiB. */
#define TRI_NOTED_MAX 1024

/* 1 from the first allocation bit that is cleared by tri_free() on.  Any thread. */
extern tri_au32 tri_freed_bits TRI_HIDDEN;

/*
 * Whether tri_free() may have cleared an allocation bit.  Until then a cached span has the free
 * slots that it had when it was taken, less those of the windows that were opened, and nothing need
 * be counted.  There is no order between this word and the bits.  A thread that reads 0 though a
 * bit of its span has been cleared leaves that slot to the next cycle, which counts free slots by
 * the marks.
 */
static inline bool tri_freed_any(void)
{
	return tri_read(&tri_freed_bits);
}

/* For tri_free().  Called inside, with the cache lock. */
void tri_freed_add(struct tri_thread *t, void *object) TRI_HIDDEN;
const char *tri_freed_check(struct tri_thread *t, void *object) TRI_HIDDEN;

/*
 * The agent calls this in H4 of a cycle that completes: move the thread's notes to those of all
 * threads.  With the cache lock.
 */
void tri_free_take_notes(struct tri_thread *t) TRI_HIDDEN;
/* After that, before anything is swept: clear the marks of cycle @gen on freed objects. */
void tri_free_withdraw(uint32_t gen) TRI_HIDDEN;
/* The thread leaves the list: free or hand over what it has noted.  With the cache lock. */
void tri_free_leave(struct tri_thread *t) TRI_HIDDEN;
/* In the child of a fork(), with a copy of the heap or with an empty heap. */
void tri_free_forked(void) TRI_HIDDEN;
void tri_free_reset(void) TRI_HIDDEN;

#endif
