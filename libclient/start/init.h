/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * init.h - the start of the heap
 *
 * Lock: start_lock.  It is taken outside the library, and before any other lock.
 */
#ifndef TRI_INIT_H
#define TRI_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "tricolor.h"

int tri_start_here(const struct tri_options *opts) TRI_HIDDEN;	/* see tri_start() in child.c */
int tri_start_again(const struct tri_options *opts) TRI_HIDDEN;
void tri_start_reset(bool inherit) TRI_HIDDEN;
bool tri_start_hold(uint64_t ns) TRI_HIDDEN;
void tri_start_release(void) TRI_HIDDEN;
int tri_agent_ensure(void) TRI_HIDDEN;
void tri_ctl_fill(uint64_t allocated_bytes) TRI_HIDDEN;

#endif
