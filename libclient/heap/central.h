/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * central.h - the central lists: all spans of each span class, from which caches refill
 *
 * A list has a lock of its own, which nests inside a thread's cache lock and may be followed by the
 * page heap's.
 */
#ifndef TRI_CENTRAL_H
#define TRI_CENTRAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/sizeclass.h"
#include "../base/attributes.h"

void tri_central_init(void) TRI_HIDDEN;
uint32_t tri_central_take(uint32_t gen, unsigned int span_class, bool all) TRI_HIDDEN;
uint32_t tri_central_grow(uint32_t gen, unsigned int span_class, unsigned int *run) TRI_HIDDEN;
void tri_central_add(uint32_t page, unsigned int spans, unsigned int span_class) TRI_HIDDEN;
void tri_central_put(uint32_t page, unsigned int span_class) TRI_HIDDEN;
/*
 * An idle span is offered again, to whoever refills, when so many of its slots are free: a visit
 * for one slot costs as much as one for many.
 */
static inline unsigned int tri_central_least(const struct tri_class *c)
{
	return c->objects >= 8 ? c->objects / 8 : 1;
}

void tri_central_restart(void) TRI_HIDDEN;
void tri_central_recover(void) TRI_HIDDEN;
bool tri_central_hold(uint64_t ns) TRI_HIDDEN;
void tri_central_release(void) TRI_HIDDEN;

#endif
