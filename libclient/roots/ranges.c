// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ranges.c - growing arrays in mapped memory: see object.h
 *
 * The agent uses them because malloc() may be the program's own.
 */
#include <string.h>
#include <sys/mman.h>

#include "object.h"

void *tri_array_grow(void *old, size_t *room, size_t bytes, size_t n)
{
	size_t more = *room ? *room * 2 : 128;
	void *array = mmap(NULL, more * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	if (array == MAP_FAILED)
		return NULL;
	if (n)
		memcpy(array, old, n * bytes);
	if (*room)
		munmap(old, *room * bytes);
	*room = more;
	return array;
}

bool tri_ranges_put(struct tri_ranges *r, uintptr_t lo, uintptr_t hi)
{
	if (r->n == r->room) {
		void *more = tri_array_grow(r->range, &r->room, sizeof(*r->range), r->n);

		if (!more)
			return false;
		r->range = more;
	}
	r->range[r->n++] = (struct tri_range){ lo, hi };
	return true;
}
