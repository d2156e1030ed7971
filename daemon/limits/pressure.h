/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pressure.h - how near a limit is, and what is done as it comes near: see pressure.c
 */
#ifndef TRICOLOR_PRESSURE_H
#define TRICOLOR_PRESSURE_H

#include <stdint.h>

#include "snapshot.h"

/** Use above which clients are told that the limit is near, unless it falls again at once. */
uint64_t pressure_near_bytes(const struct account *a);

/** Use above which clients are told at once, and cycles are requested. */
uint64_t pressure_urgent_bytes(const struct account *a);

/** Keep account of how near the limit of @a is. */
void pressure_judge(const struct account *a);

/** How near the nearest limit of @m is: enum tri_pressure. */
uint32_t pressure_of(const struct watched_arena *m);

/** Say in the log that more lives than the limit of @a allows, if it does, once for each value. */
void pressure_warn(const struct groups *s, const struct account *a);

/** Request cycles of the arenas that count against the limit of @a, if it is near. */
void pressure_request_cycles(struct snapshot *snap, const struct account *a);

#endif
