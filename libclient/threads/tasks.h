/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tasks.h - the kernel's list of the process's threads: see tasks.c.  For the agent only. */
#ifndef TRI_TASKS_H
#define TRI_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/attributes.h"

bool tri_tasks_open(void) TRI_HIDDEN;
bool tri_tasks_are_listed(void) TRI_HIDDEN;
void tri_tasks_give_up(void) TRI_HIDDEN;
int tri_tasks_look(const pid_t **tids) TRI_HIDDEN;
bool tri_tasks_are_ours(int *status) TRI_HIDDEN;
int tri_tasks_open_other(void) TRI_HIDDEN;
void tri_tasks_reset(void) TRI_HIDDEN;

/* About one thread. */
bool tri_task_has_ended(pid_t tid, int *status) TRI_HIDDEN;
bool tri_task_read(pid_t tid, const char *name, char *text, size_t room) TRI_HIDDEN;
bool tri_task_blocks_signal(pid_t tid) TRI_HIDDEN;
void tri_task_scan_stack(pid_t tid, uintptr_t thread_pointer, uintptr_t sp, uintptr_t signal_lo,
			 uintptr_t signal_hi) TRI_HIDDEN;

#endif
