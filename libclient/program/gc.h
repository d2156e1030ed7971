/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gc.h - waiting for a cycle, which is done outside and without a lock: see gc.c */
#ifndef TRI_GC_H
#define TRI_GC_H

#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"

struct tri_thread;

void tri_step(struct tri_thread *t) TRI_HIDDEN;
int tri_gc_wait(tri_au32 *wanted, tri_au32 *done, uint32_t wake) TRI_HIDDEN;
int tri_gc_wait_until(tri_au32 *done, uint32_t mine, uint32_t wake) TRI_HIDDEN;

#endif
