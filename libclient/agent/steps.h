/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steps.h - TRICOLOR_DEBUG=gc=N: the program and its cycles take turns: see steps.c */
#ifndef TRI_STEPS_H
#define TRI_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

bool tri_step_is_due(struct tri_thread *t, uint32_t *step) TRI_HIDDEN;
void tri_step_hold(void) TRI_HIDDEN;
void tri_step_done(void) TRI_HIDDEN;
void tri_step_whole(bool begins) TRI_HIDDEN;

#endif
