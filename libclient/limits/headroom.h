/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* headroom.h - what the control groups of this process may still take: see headroom.c */
#ifndef TRI_HEADROOM_H
#define TRI_HEADROOM_H

#include "../internal.h"

/* What a group may take before it is at its limit. */
struct tri_headroom {
	int64_t bytes;			/* the headroom: what is left below the margin */
	int64_t reserve, margin;	/* the last parts before the limit, in bytes */
	unsigned int heaps;		/* how many heaps share it, this one included */
};

void tri_headroom_find_groups(void) TRI_HIDDEN;
void tri_headroom_forget_groups(void) TRI_HIDDEN;
size_t tri_headroom_groups(void) TRI_HIDDEN;
bool tri_headroom_at(size_t i, struct tri_headroom *h) TRI_HIDDEN;

#endif
