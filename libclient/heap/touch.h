/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* touch.h - slots have memory before the collector may scan them */
#ifndef TRI_TOUCH_H
#define TRI_TOUCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../core/heap/sizeclass.h"

/*
 * The collector may scan any slot of an open window, written or not, and must not be the first to
 * touch its memory: it would pay for it on one backing, and fault on the other.
 */
static inline void tri_touch(const struct tri_class *c, char *base, uint32_t objects, bool fresh)
{
	char *end = base + (size_t)objects * c->size, *at;

	for (at = base; at < end; at = (char *)(((uintptr_t)at | 4095) + 1)) {
		if (fresh)
			*(volatile char *)at = 0;
		else
			(void)*(volatile char *)at;
	}
}

#endif
