/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fault.h - mappings of arenas and boards that lose a page while they are read: see fault.c
 */
#ifndef TRICOLOR_FAULT_H
#define TRICOLOR_FAULT_H

#include <stdbool.h>
#include <stddef.h>

struct fault_guard;

/** Install the handler, before there are threads. */
void fault_init(void);

/** Guard the mapping of @bytes at @base.  NULL: no memory. */
struct fault_guard *fault_guard(void *base, size_t bytes);

/** End the guard, before the mapping is removed. */
void fault_unguard(struct fault_guard *g);

/** Whether a page was missing.  From then on all of the mapping is private zeros. */
bool fault_happened(const struct fault_guard *g);

/** The offset in the mapping of the page that was missing. */
size_t fault_offset(const struct fault_guard *g);

#endif
