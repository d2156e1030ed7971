/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unseen.h - children of fork() that the library was not told of: see unseen.c */
#ifndef TRI_UNSEEN_H
#define TRI_UNSEEN_H

#include <stdbool.h>

#include "attributes.h"

struct tri_thread;

int tri_unseen_watch(void) TRI_HIDDEN;
void tri_unseen_wipe(struct tri_thread *t, bool wipe) TRI_HIDDEN;

#endif
