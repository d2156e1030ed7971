/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pageheap.h - the free pages of the heap
 *
 * Its lock, tri_g.page_lock, is the last in the lock order.  Threads take and give back pages with
 * it.
 * The collector, which has no part in it, gives pages back by clearing bits.
 */
#ifndef TRI_PAGEHEAP_H
#define TRI_PAGEHEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

/*
 * What a page of the heap has in tables, all kinds of spans: marks, pointer map, span, span-of,
 * page map, queued, and its bits of used, backed and chunks.
 */
#define TRI_TABLES_BYTES \
	(8ull * (3 * TRI_MARK_WORDS + TRI_PTRMAP_WORDS) + sizeof(struct tri_span) + 7)
#define TRI_TAKEN_BYTES (TRI_PAGE_BYTES + TRI_TABLES_BYTES)	/* that are had from the system
								 * for it */

void tri_pageheap_init(void) TRI_HIDDEN;
uint32_t tri_pageheap_take(uint32_t pages, uint32_t align_pages, bool *backed) TRI_HIDDEN;
/** Give the pages of a span back, which the caller has claimed. */
void tri_pageheap_give(uint32_t page, uint32_t pages) TRI_HIDDEN;
void tri_pageheap_recover(void) TRI_HIDDEN;
void tri_pageheap_reset(void) TRI_HIDDEN;
void tri_pageheap_trim_dump(void) TRI_HIDDEN;

#endif
