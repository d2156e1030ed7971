/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * device.h - an arena of /dev/tricolor; all of it does nothing for other arenas
 */
#ifndef TRICOLOR_DEVICE_H
#define TRICOLOR_DEVICE_H

#include <stdbool.h>

#include "daemon/clients/board.h"

struct arena;
struct tricolor_tunables;

/** A phase begins; PHASES: the cycle is over. */
void device_phase(struct arena *a, enum phase phase);

/** The figures have changed. */
void device_publish(struct arena *a);

/** What was set through sysfs or netlink since the last call.  False: that can't be read. */
bool device_tunables(struct arena *a, struct tricolor_tunables *t);

#endif
