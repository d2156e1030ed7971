/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.h - blocking regions: the agent answers for a thread that waits for something else
 *
 * A region is one of the reasons for which the inline path of allocation calls the library.  These
 * reasons are here as well.
 */
#ifndef TRI_REGION_H
#define TRI_REGION_H

#include <stdbool.h>

#include "../base/attributes.h"
#include "tricolor.h"

struct tri_thread;

/* Why the inline path of allocation finds an empty cache: see tri_divert(). */
enum { TRI_DIVERTED_AGENT = 1, TRI_DIVERTED_REGION = 2, TRI_DIVERTED_BOTH = 3 };

/* Bytes of tri__tls.barrier and .attention, which the inline paths read as one word. */
enum { TRI_FLAG_AGENT, TRI_FLAG_REGION };

/* Empty caches.  The address at which tri__tls.caches points into them says why: tri_divert(). */
extern struct tri__cache tri_empty_caches[TRI__CACHES + TRI_DIVERTED_BOTH] TRI_HIDDEN;

void tri_divert(struct tri__tls *tls, struct tri__cache *open, unsigned int add, unsigned int take)
	TRI_HIDDEN;
void tri_region_end(struct tri_thread *t) TRI_HIDDEN;
bool tri_region_hold(struct tri_thread *t) TRI_HIDDEN;
void tri_region_let_go(struct tri_thread *t) TRI_HIDDEN;

/* Set one byte of a word of tri__tls.  The agent and the thread write to different bytes. */
static inline void tri_flag_set(uint32_t *word, unsigned int which, bool on)
{
	__atomic_store_n((unsigned char *)word + which, (unsigned char)on, __ATOMIC_RELAXED);
}

/* Whether the calling thread may be in a blocking region. */
static inline bool tri_in_region(void)
{
	return __atomic_load_n((unsigned char *)&tri__tls.barrier + TRI_FLAG_REGION,
			       __ATOMIC_RELAXED);
}

static inline unsigned int tri_blocked(uint32_t word)
{
	return word & 3;
}

/* TRI_RUNNING, with another number. */
static inline uint32_t tri_next_region(uint32_t word)
{
	return (word & ~3u) + 4;
}

#endif
