/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child.h - the start of the heap, in a process that may be the child of one with a heap */
#ifndef TRI_CHILD_H
#define TRI_CHILD_H

#include "../base/attributes.h"
#include "tricolor.h"

int tri_start(const struct tri_options *opts) TRI_HIDDEN;

#endif
