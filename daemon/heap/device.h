/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * device.h - what an arena of /dev/tricolor has beyond a memfd: see device.c
 */
#ifndef TRICOLOR_DEVICE_H
#define TRICOLOR_DEVICE_H

#include <stdbool.h>

#include "daemon/clients/board.h"

struct arena;
struct tricolor_tunables;

/** Set the phase, and publish it; PHASES: the cycle is over. */
void device_phase(struct arena *a, enum phase phase);

/** Publish figures that have changed. */
void device_publish(struct arena *a);

/**
 * Read what was set by sysfs or netlink since the last call.  False: the arena is not the device's,
 * or it can't be read.
 */
bool device_tunables(struct arena *a, struct tricolor_tunables *t);

#endif
