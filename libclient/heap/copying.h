/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copying.h - a forked child's own copy of the parent's heap: see copying.c */
#ifndef TRI_COPYING_H
#define TRI_COPYING_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "backing.h"

struct tri_thread;

struct tri_copy {
	struct tri_mapping to;		/* the new arena, mapped somewhere */
	struct tri_view tables;		/* that mapping */
	uint32_t gen;
	uint64_t top;			/* pages of the parent's heap */
	bool (*goes_on)(void *arg);	/* called for each MiB; false: give up */
	void *arg;
	/* Of the parent's control page. */
	uint64_t allocated_bytes, freed_bytes;
	int64_t memory_limit_bytes;
	uint32_t limit_policy;
	int32_t gc_percent;
};

int tri_copy_tables(struct tri_copy *c, const struct tri_thread *keep) TRI_HIDDEN;
int tri_copy_pages(struct tri_copy *c) TRI_HIDDEN;
int tri_copy_whole(struct tri_copy *c) TRI_HIDDEN;
void tri_copy_list_spans(void) TRI_HIDDEN;

#endif
