/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * root_table.h - registered ranges, memory of tri_root_alloc(), and handles
 *
 * root.c and root_memory.c change them for the program; root_scan.c reads them for the agent.
 */
#ifndef TRI_ROOT_TABLE_H
#define TRI_ROOT_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "object.h"
#include "tricolor.h"

#define TRI_HANDLE_CHUNK 510

struct tri_handle {
	void *object;
};

/*
 * Handles are cells of chunks, which are never freed.  A free cell is on a list through its own
 * word, tagged 1.
 */
struct tri_handle_chunk {
	struct tri_handle_chunk *next;
	struct tri_handle cell[TRI_HANDLE_CHUNK];
};

extern struct tri_root_table {
	pthread_mutex_t lock;		/* for all below, but not for what a cell in use holds */
	struct tri_ranges added;
	struct tri_ranges pieces;	/* of root_memory.c */
	struct tri_handle_chunk *chunks;
	struct tri_handle *free_cells;
} tri_root_table TRI_HIDDEN;

bool tri_roots_hold(uint64_t ns) TRI_HIDDEN;
void tri_roots_release(void) TRI_HIDDEN;
void tri_roots_reset(bool copied) TRI_HIDDEN;

#endif
