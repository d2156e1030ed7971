/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dumping.h - which pages of the heap a core dump has: see dumping.c */
#ifndef TRI_DUMPING_H
#define TRI_DUMPING_H

#include <stdint.h>

#include "../base/attributes.h"

#define TRI_SYSTEM_PAGE 4096u
void tri_dump_begin(void) TRI_HIDDEN;
void tri_dump_pages(uint64_t page, uint64_t pages) TRI_HIDDEN;
void tri_dump_trim(void) TRI_HIDDEN;

#endif
