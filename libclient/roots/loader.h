/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* loader.h - the dynamic loader's lock, and how often it has unloaded: see loader.c */
#ifndef TRI_LOADER_H
#define TRI_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

void tri_loader_find(void) TRI_HIDDEN;
void tri_loader_hold(uint64_t ns) TRI_HIDDEN;
void tri_loader_release(void) TRI_HIDDEN;
void tri_loader_reset(void) TRI_HIDDEN;
bool tri_loader_unloads(unsigned long long *n) TRI_HIDDEN;	/* agent */

#endif
