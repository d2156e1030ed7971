/* SPDX-License-Identifier: GPL-2.0-only */
/* checkmark.h - was everything reachable marked?  See checkmark.c */
#ifndef TRICOLOR_CHECKMARK_H
#define TRICOLOR_CHECKMARK_H

#include <stdbool.h>

struct arena;

/** Stop the client's threads, check, and let them run.  False as handshake(). */
bool checkmark_run(struct arena *a);

#endif
