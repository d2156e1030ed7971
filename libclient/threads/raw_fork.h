/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_fork.h - children for which no pthread_atfork() handler is called: see raw_fork.c */
#ifndef TRI_RAW_FORK_H
#define TRI_RAW_FORK_H

#include <stdbool.h>

#include "../base/attributes.h"

struct tri_thread;

int tri_raw_fork_init(void) TRI_HIDDEN;
void tri_raw_fork_wipe(struct tri_thread *t, bool wipe) TRI_HIDDEN;

#endif
