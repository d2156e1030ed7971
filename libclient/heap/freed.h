/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freed.h - objects that the program frees itself: see free.c and freed.c */
#ifndef TRI_FREED_H
#define TRI_FREED_H

#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

/* Larger objects are not noted while they can be freed: 64 of them would be more than 64 KiB. */
#define TRI_NOTED_MAX 1024

/* For tri_free().  Inside, with the cache lock. */
void tri_freed_add(struct tri_thread *t, void *object) TRI_HIDDEN;
const char *tri_freed_check(struct tri_thread *t, void *object) TRI_HIDDEN;

/*
 * Agent, in H4 of a cycle that completes: the thread's notes go with those of the others.  Cache
 * lock.
 */
void tri_free_take_notes(struct tri_thread *t) TRI_HIDDEN;
/* Then, before anything is swept: what was freed is not marked.  @gen: the cycle that completes. */
void tri_free_withdraw(uint32_t gen) TRI_HIDDEN;
/* The thread leaves the list.  Cache lock. */
void tri_free_leave(struct tri_thread *t) TRI_HIDDEN;
/* A child of fork(), with a copy of the heap, and with an empty one. */
void tri_free_forked(void) TRI_HIDDEN;
void tri_free_reset(void) TRI_HIDDEN;

#endif
