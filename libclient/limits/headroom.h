/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* headroom.h - what the groups of this process may still take: see headroom.c */
#ifndef TRI_HEADROOM_H
#define TRI_HEADROOM_H

#include "../internal.h"

/* What a group may take before it is at its limit. */
struct tri_headroom {
	int64_t bytes;			/* for the heap, which leaves the margin alone */
	int64_t reserve, margin;
	unsigned int heaps;		/* that share it, this one included */
};

void tri_headroom_find_groups(void) TRI_HIDDEN;
void tri_headroom_forget_groups(void) TRI_HIDDEN;
size_t tri_headroom_groups(void) TRI_HIDDEN;
bool tri_headroom_at(size_t i, struct tri_headroom *h) TRI_HIDDEN;

#endif
