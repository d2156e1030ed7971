/* SPDX-License-Identifier: GPL-2.0-only */
/* sweep.h - background sweep: see sweep.c.  The arena's thread. */
#ifndef TRICOLOR_SWEEP_H
#define TRICOLOR_SWEEP_H

struct arena;

/**
 * Sweep everything after the last cycle.  Returns early if the client goes away, or is to be let go
 * of.
 */
void sweep_all(struct arena *a);

/** A collector before us may have died while marking: clear what it marked, queued and offered. */
void sweep_clear_marks(struct arena *a);

#endif
