/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* brake.h - how far a heap grows that nobody collects: see brake.c */
#ifndef TRI_BRAKE_H
#define TRI_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attributes.h"

void tri_brake_look(void) TRI_HIDDEN;
bool tri_braked(uint64_t pages) TRI_HIDDEN;
int tri_brake_why(void) TRI_HIDDEN;

/* collector.c */
void tri_collector_state(char *text, size_t room) TRI_HIDDEN;
/* Grows with everything that collectors are seen to do. */
uint64_t tri_progress(void) TRI_HIDDEN;
#define TRI_WITHOUT_NS 10000000000ull	/* without that, or any collector, for so long: it is given up */

#endif
