/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sweep.h - background sweep: see sweep.c
 *
 * All of it is for the arena's thread.
 */
#ifndef TRICOLOR_SWEEP_H
#define TRICOLOR_SWEEP_H

struct arena;

/**
 * Sweep all spans after a cycle.  Returns early if the client is gone, or if the connection is to
 * be closed.
 */
void sweep_all(struct arena *a);

/** Clear what an earlier collector, which may have died while marking, has marked and queued. */
void sweep_clear_marks(struct arena *a);

#endif
