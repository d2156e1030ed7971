/* SPDX-License-Identifier: GPL-2.0-only */
/* mark.h - the marker of one arena: see mark.c */
#ifndef TRICOLOR_MARK_H
#define TRICOLOR_MARK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/heap/layout.h"

struct tri_marking;

/* Part of an object of several pages, or of a class above 512 B, to be scanned. */
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
	int fd;				/* of the arena, for holes */
	struct mark_worker *self;	/* the arena thread's */
	bool supplied;			/* a buffer entry named marked objects that wait to be scanned */
	void (*progress)(void *arg);	/* called by it now and then while it marks */
	void *progress_arg;

	/* Work for helpers and from them; `lock`. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t *shared;
	uint32_t nshared, shared_room;
	uint32_t helpers;		/* at work on this arena */
	struct marker *next_wanting;	/* workers.c */
	bool wanting;

	/* Sums of helpers that have left, this cycle; `lock`. */
	uint64_t helper_objects, helper_marked_bytes, helper_scan_bytes, helper_cpu_ns;
	uint32_t helpers_seen;
	bool helper_failed;
	uint64_t assist_marked_at, assist_scan_at, assist_objects_at;	/* counters at the start */
};

/** Memory for the marker of @v.  Returns 0 or -ENOMEM. */
int marker_init(struct marker *m, const struct tri_view *v, int fd);
void marker_exit(struct marker *m);

/** A cycle begins; @cycle's parity says which bitmap collects marks. */
void mark_begin(struct marker *m, uint32_t cycle);

/** Mark what one entry of a buffer points to. */
void mark_entry(struct marker *m, uint64_t entry);

/** Scan until nothing known is left to scan, with helpers if they are to be had. */
void mark_wake_assists(struct marker *m);
void mark_drain(struct marker *m);

/** Objects marked so far in this cycle, by all who are not at work right now. */
uint64_t mark_objects(struct marker *m);
uint64_t mark_bytes(struct marker *m);
uint64_t mark_scan_bytes(struct marker *m);
bool mark_failed(struct marker *m);

/* workers.c */
void workers_start(unsigned int helpers);
bool workers_idle(void);
void workers_call(struct marker *m);
void workers_dismiss(struct marker *m);
struct mark_worker *mark_worker_new(void);
void mark_help(struct marker *m, struct mark_worker *w);

#endif
