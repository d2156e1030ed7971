// SPDX-License-Identifier: LGPL-2.1-or-later
/* root_table.c - registered ranges and handles: see root_table.h */
#include <time.h>

#include "root_table.h"

struct tri_root_table tri_root_table = { .lock = PTHREAD_MUTEX_INITIALIZER };

/** For fork(): keep all from changing ranges and handles.  False: not possible until @ns. */
bool tri_roots_hold(uint64_t ns)
{
	struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	return !pthread_mutex_clocklock(&tri_root_table.lock, CLOCK_MONOTONIC, &until);
}

void tri_roots_release(void)
{
	pthread_mutex_unlock(&tri_root_table.lock);
}

/**
 * Called in a forked child.  Registered ranges are the program's memory, and stay.  If the heap was
 * not @copied, handles are set to NULL.
 */
void tri_roots_reset(bool copied)
{
	struct tri_handle_chunk *c;
	int i;

	pthread_mutex_init(&tri_root_table.lock, NULL);
	for (c = tri_root_table.chunks; c && !copied; c = c->next)
		for (i = 0; i < TRI_HANDLE_CHUNK; i++)
			if (!((uintptr_t)c->cell[i].object & 1))
				c->cell[i].object = NULL;
}
