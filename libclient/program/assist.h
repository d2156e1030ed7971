/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* assist.h - marking work that a thread owes for what it allocates: see assist.c */
#ifndef TRI_ASSIST_H
#define TRI_ASSIST_H

#include "../base/attributes.h"

struct tri_thread;

void tri_assist(struct tri_thread *t) TRI_HIDDEN;

#endif
