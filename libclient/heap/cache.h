/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache.h - a thread's caches: free slots, one entry for each span class
 *
 * All functions but tri_count_allocated() are called with the cache lock of @t held.
 */
#ifndef TRI_CACHE_H
#define TRI_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

/*
 * The span that a cache entry allocates from, and fresh ones that lie behind it.  Protected by the
 * cache lock, as the caches are.
 */
struct tri_cached_span {
	uint32_t page;			/* of the span; 0: there is none */
	uint8_t window;			/* the number of its 64 slots that the entry stands for */
	bool counting;			/* something had been freed when the span was taken, so
					 * `counted` is kept */
	uint16_t counted;		/* free slots of later windows that count as allocated
					 * already */
	uint32_t next;			/* page of the first fresh span that comes next */
	uint16_t left;			/* how many fresh spans there are */
	uint16_t run;			/* spans that were taken at once the last time in this
					 * cycle; 0: none were */
};

void *tri_cache_alloc(struct tri_thread *t, unsigned int span_class, bool *zeroed) TRI_HIDDEN;
void *tri_cache_next(struct tri_thread *t, unsigned int span_class) TRI_HIDDEN;
void tri_count_allocated(struct tri_thread *t, uint64_t bytes) TRI_HIDDEN;
uint64_t tri_cache_blacken(struct tri_thread *t) TRI_HIDDEN;
void tri_cache_flush(struct tri_thread *t, bool to_central) TRI_HIDDEN;

#endif
