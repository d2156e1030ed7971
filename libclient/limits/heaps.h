/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heaps.h - how many heaps a control group has: see heaps.c */
#ifndef TRI_HEAPS_H
#define TRI_HEAPS_H

#include <stdbool.h>

#include "../base/attributes.h"

#define TRI_HEAPS_MAX 16		/* more are not counted */
#define TRI_HEAPS_UNKNOWN 4		/* the number that is assumed where counting is not
					 * possible */

bool tri_heaps_announce(int fd) TRI_HIDDEN;
unsigned int tri_heaps_count(int fd, bool *slow) TRI_HIDDEN;

#endif
