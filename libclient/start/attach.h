/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attach.h - how a thread attaches and detaches: see attach.c */
#ifndef TRI_ATTACH_H
#define TRI_ATTACH_H

#include "../base/attributes.h"
#include "tricolor.h"

struct tri_thread;

struct tri_thread *tri_attach_self(void) TRI_HIDDEN;
int tri_start_attached(const struct tri_options *opts) TRI_HIDDEN;
void tri_thread_exiting(void) TRI_HIDDEN;

#endif
