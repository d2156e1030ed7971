/* SPDX-License-Identifier: GPL-2.0-only */
/* scavenge.h - giving free pages back to the system: see scavenge.c.  The arena's thread. */
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

/** Free pages that have memory. */
uint64_t scavenge_free_bytes(const struct arena *a);

/** A cycle has marked: how much its heap used, of what it should have. */
void scavenge_note_use(struct arena *a, uint64_t goal_bytes);

/**
 * A cycle has ended: look at what is free now, and set when to release it (scavenger.step_ns).
 */
void scavenge_begin(struct arena *a);

/**
 * The time for a step has come.  First what is too old of scavenge_note_use() is forgotten: true if
 * that was all.  Then a step is taken, which sets when the next one is due.
 */
bool scavenge_forget_use(struct arena *a);
void scavenge_step(struct arena *a);

#endif
