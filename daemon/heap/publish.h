/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * publish.h - what others see of an arena
 *
 * Figures go to the boards of all who give the arena orders, and to the module for an arena of
 * /dev/tricolor.  They are published when something has changed them (a cycle's end, a setting,
 * memory that was released), and when somebody asks.  An idle arena costs nothing.  The arena's
 * thread.
 */
#ifndef TRICOLOR_PUBLISH_H
#define TRICOLOR_PUBLISH_H

#include "daemon/clients/board.h"

struct arena;

/** The figures have changed, or somebody has asked for those of now. */
void publish_figures(struct arena *a);

/** A cycle has come to @phase; PHASES: there is none. */
void publish_phase(struct arena *a, enum phase phase);

#endif
