// SPDX-License-Identifier: LGPL-2.1-or-later
/* span.c - the parts of sweeping that are not hot: see span.h */
#include "span.h"

#include <string.h>

void tri_span_clobber(const struct tri_view *v, uint32_t page, const struct tri_class *c,
		      uint32_t cycle)
{
	char *base = v->heap + ((uint64_t)page << TRI_PAGE_SHIFT);
	uint32_t i;

	for (i = 0; i < c->objects; i++)
		if (!tri_bit(v->marks[cycle & 1], page, i))
			memset(base + (size_t)i * c->size, 0xdb, c->size);
}
