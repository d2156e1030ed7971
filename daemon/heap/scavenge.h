/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scavenge.h - giving free pages back to the system: see scavenge.c
 *
 * All of it is for the arena's thread.
 */
#ifndef TRICOLOR_SCAVENGE_H
#define TRICOLOR_SCAVENGE_H

#include <stdbool.h>
#include <stdint.h>

struct arena;

/**
 * Release up to @bytes of free pages at once, from the top down.  Returns how many bytes were
 * released.
 */
uint64_t scavenge(struct arena *a, uint64_t bytes);

/** Bytes in free pages that have memory. */
uint64_t scavenge_free_bytes(const struct arena *a);

/** Note, at the end of marking, how much the heap uses compared with its goal. */
void scavenge_note_use(struct arena *a, uint64_t goal_bytes);

/**
 * A cycle has ended: measure what is free now, and set when to release it (scavenger.step_ns).
 */
void scavenge_begin(struct arena *a);

/**
 * The time for a step has come.  scavenge_forget_use() drops figures of scavenge_note_use() that
 * are too old, and returns whether that was all.  scavenge_step() takes a step, and sets when the
 * next one is due.
 */
bool scavenge_forget_use(struct arena *a);
void scavenge_step(struct arena *a);

#endif
