/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uncollected.h - the bound of a heap that no collector serves: see uncollected.c */
#ifndef TRI_UNCOLLECTED_H
#define TRI_UNCOLLECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

void tri_uncollected_update(void) TRI_HIDDEN;
bool tri_uncollected_is_full(uint64_t pages) TRI_HIDDEN;
int tri_uncollected_why(void) TRI_HIDDEN;

/* progress.c */
void tri_collector_state(char *text, size_t room) TRI_HIDDEN;
/* Grows with everything that collectors are seen to do. */
uint64_t tri_progress(void) TRI_HIDDEN;
#define TRI_WITHOUT_NS 10000000000ull	/* without that, or any collector, for so long: it is
					 * given up */

#endif
