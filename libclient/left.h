/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* left.h - what the groups of this process may still take: see left.c */
#ifndef TRI_LEFT_H
#define TRI_LEFT_H

#include "internal.h"

/* What a group may take before it is at its limit. */
struct tri_left {
	int64_t bytes;			/* for the heap, which leaves the margin alone */
	int64_t reserve, margin;
	unsigned int heaps;		/* that share it, this one included */
};

void tri_left_find(void) TRI_HIDDEN;
void tri_left_forget(void) TRI_HIDDEN;
size_t tri_left_groups(void) TRI_HIDDEN;
bool tri_left_at(size_t i, struct tri_left *left) TRI_HIDDEN;

#endif
