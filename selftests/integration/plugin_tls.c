// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_tls.c - a loadable object with thread-local variables that are made when they are first
 * used
 *
 * plugin_tls_large.c is the same with more of them.
 */
#include <stddef.h>

#ifndef CELLS
#define CELLS 4
#endif

#define EXPORT __attribute__((visibility("default")))

static __thread void *cells[CELLS];
static __thread void *more[CELLS] = { (void *)1 };

EXPORT void **plugin_cell(size_t i);

/* A plain store is right: a thread-local variable is the thread's own. */
void **plugin_cell(size_t i)
{
	return i % 2 ? &more[1 + i / 2 % (CELLS - 1)] : &cells[i / 2 % CELLS];
}
