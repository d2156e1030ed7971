/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * postmortem_heap.h - what the tables of a heap say after its program has ended: see
 * postmortem_heap.c
 */
#ifndef TRICOLOR_POSTMORTEM_HEAP_H
#define TRICOLOR_POSTMORTEM_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define POSTMORTEM_LARGEST 16

struct postmortem_class {
	uint64_t spans, objects;
};

struct postmortem_heap {
	struct postmortem_class classes[256];	/* by span class */
	uint64_t large_objects, large_bytes, largest[POSTMORTEM_LARGEST];
	uint64_t used_pages, free_backed_pages, top_pages;
	uint64_t read_pages;		/* pages read; all are top_pages */
	bool is_device;			/* an arena of /dev/tricolor: its memory is gone */
};

/**
 * Read the arena @fd, until @until_ns of CLOCK_MONOTONIC or until @stop is set.  False: there is
 * nothing to be read, or the client has said that it exits.
 */
bool postmortem_read_heap(struct postmortem_heap *h, int fd, uint64_t until_ns,
			  const atomic_bool *stop);

#endif
