/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * publish.h - publishing the figures and the phase of an arena
 *
 * They go to the boards of all who give the arena orders, and to the module for an arena of
 * /dev/tricolor.  Figures are published when something has changed them (a cycle's end, a setting,
 * memory that was released), and when they are asked for, so an idle arena costs nothing.  All of
 * it is for the arena's thread.
 */
#ifndef TRICOLOR_PUBLISH_H
#define TRICOLOR_PUBLISH_H

#include "daemon/clients/board.h"

struct arena;

/** Publish the figures of now. */
void publish_figures(struct arena *a);

/** Set and publish the phase that a cycle has come to; PHASES: there is no cycle. */
void publish_phase(struct arena *a, enum phase phase);

#endif
