/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* coroutine.h - stacks that a thread may leave and come back to: see coroutine.c */
#ifndef TRI_COROUTINE_H
#define TRI_COROUTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "attributes.h"

struct tri_thread;

void tri_coroutines_scan(struct tri_thread *to, bool all) TRI_HIDDEN;	/* agent */
void tri_coroutines_forget_scans(void) TRI_HIDDEN;			/* agent */
void tri_coroutine_attach(struct tri_thread *t, uintptr_t sp) TRI_HIDDEN;
void tri_coroutine_detach(struct tri_thread *t) TRI_HIDDEN;		/* list_lock */
void tri_coroutines_reset(bool copied) TRI_HIDDEN;

#endif
