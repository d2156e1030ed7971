/* SPDX-License-Identifier: GPL-2.0-only */
/* mark.h - the marker of one arena: see mark.c */
#ifndef TRICOLOR_MARK_H
#define TRICOLOR_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/heap/layout.h"
#include "workers.h"

struct tri_marking;

/* A part of an object of several pages, or of a class above 512 B, that is to be scanned. */
struct mark_piece {
	uint64_t offset, bytes;
	bool typed;
	bool holes;			/* parts may never have been written */
};

struct marker {
	const struct tri_view *v;
	uint32_t cycle;			/* its parity says which bitmap collects marks */
	tri_au64 (*marks)[TRI_MARK_WORDS];
	tri_au64 (*allocated)[TRI_MARK_WORDS];
	int fd;				/* of the arena, to find holes */
	struct mark_worker *self;	/* the arena thread's worker */
	bool supplied;			/* a buffer entry named marked objects to be scanned */
	void (*progress)(void *arg);	/* called by the arena's thread now and then */
	void *progress_arg;

	/* Spans that helpers share with the arena's thread; under the job's lock. */
	struct workers_job job;
	uint32_t *shared;
	uint32_t nshared, shared_room;

	/* Sums of helpers that have left in this cycle; under the job's lock. */
	uint64_t helper_objects, helper_marked_bytes, helper_scan_bytes, helper_cpu_ns;
	bool helper_failed;
	uint64_t assist_marked_at, assist_scan_at, assist_objects_at;	/* counters at the start */
};

/** Begin, with memory for the marker of @v.  Returns 0 or -ENOMEM. */
int marker_init(struct marker *m, const struct tri_view *v, int fd);
void marker_exit(struct marker *m);

/** A cycle begins; @cycle's parity says which bitmap collects marks. */
void mark_begin(struct marker *m, uint32_t cycle);

/** Mark what one entry of a buffer points to. */
void mark_entry(struct marker *m, uint64_t entry);

/** Mark the object that byte @offset of the heap lies in, if there is one. */
void mark_object(struct marker *m, uint64_t offset);

/**
 * Queue the object that byte @offset of the heap lies in, so that what it refers to is marked.  The
 * object itself is not.
 */
void mark_referents(struct marker *m, uint64_t offset);

/**
 * Scan what is queued here.  @bytes of records of specials were read since the last call; they
 * count as scanned.  Returns false if the cycle is void.
 */
bool mark_records(struct marker *m, uint64_t bytes);

/** Scan until nothing that is known is left to scan, with helpers if there are any. */
void mark_drain(struct marker *m);

/** Marking has ended: wake threads that wait for spans to help with. */
void mark_wake_assists(struct marker *m);

/** Objects marked so far in this cycle, without those of helpers that are at work now. */
uint64_t mark_objects(struct marker *m);
uint64_t mark_bytes(struct marker *m);
uint64_t mark_scan_bytes(struct marker *m);
bool mark_failed(struct marker *m);

#endif
