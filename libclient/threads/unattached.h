/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unattached.h - scanning threads that are not attached: see unattached.c.  For the agent only. */
#ifndef TRI_UNATTACHED_H
#define TRI_UNATTACHED_H

#include <stdbool.h>

#include "../base/attributes.h"

void tri_unattached_open(void) TRI_HIDDEN;
bool tri_unattached_scan(bool hold) TRI_HIDDEN;
void tri_unattached_release(void) TRI_HIDDEN;
void tri_unattached_reset(void) TRI_HIDDEN;

#endif
