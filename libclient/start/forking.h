/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* forking.h - fork(): the child has a copy of the heap, or an empty heap: see forking.c */
#ifndef TRI_FORKING_H
#define TRI_FORKING_H

#include <stdbool.h>

#include "../base/attributes.h"

bool tri_fork_hold(void) TRI_HIDDEN;
void tri_fork_release(bool held) TRI_HIDDEN;
void tri_fork_lock_reset(void) TRI_HIDDEN;
void tri_fork_prepare(void) TRI_HIDDEN;
void tri_fork_over(void) TRI_HIDDEN;
bool tri_fork_copied(void) TRI_HIDDEN;
void tri_fork_reset(void) TRI_HIDDEN;

#endif
