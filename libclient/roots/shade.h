/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shade.h - shading: what a store and a scan find goes into the thread's buffer
 *
 * The calling thread is @t and inside, or has list_lock if @t is the agent or tri_g.common.
 * Async-signal-safe.
 */
#ifndef TRI_SHADE_H
#define TRI_SHADE_H

#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

void tri_shade(struct tri_thread *t, const void *pointer) TRI_HIDDEN;
void tri_append(struct tri_thread *t, uint64_t entry) TRI_HIDDEN;
void tri_flush_buffer(struct tri_thread *t) TRI_HIDDEN;

#endif
