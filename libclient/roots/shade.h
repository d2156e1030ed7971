/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shade.h - shading: pointers that a store or a scan finds go into the thread's buffer
 *
 * The calling thread is @t, and inside.  If @t is the agent's record or tri_g.common, the calling
 * thread has list_lock.  Async-signal-safe.
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
