/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tasks.h - threads that have not attached, as /proc shows them: see tasks.c; tri_visit() runs in
 * the handler
 */
#ifndef TRI_TASKS_H
#define TRI_TASKS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "attributes.h"

void tri_tasks_open(void) TRI_HIDDEN;
bool tri_tasks_scan(bool hold) TRI_HIDDEN;
void tri_tasks_release(void) TRI_HIDDEN;
bool tri_tasks_are_ours(int *status) TRI_HIDDEN;
int tri_tasks_open_other(void) TRI_HIDDEN;
bool tri_visit(const siginfo_t *info, const ucontext_t *uc, uintptr_t sp, uintptr_t frame_end)
	TRI_HIDDEN;
void tri_tasks_reset(void) TRI_HIDDEN;

#endif
