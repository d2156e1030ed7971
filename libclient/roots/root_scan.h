/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * root_scan.h - the scan of roots that are not stacks: data segments, registered ranges, handles
 *
 * For the agent only.
 */
#ifndef TRI_ROOT_SCAN_H
#define TRI_ROOT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

void tri_roots_prepare(void) TRI_HIDDEN;
void tri_roots_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_roots_refuse_misfits(void) TRI_HIDDEN;
uint64_t tri_roots_bytes(void) TRI_HIDDEN;

/* Functions to which tri_roots_visit() shows the roots that a program stores to. */
struct tri_root_visitor {
	/* The next calls show the words of this range. */
	void (*range)(void *arg, uintptr_t lo, uintptr_t hi, bool segment);
	void (*words)(void *arg, uintptr_t at, const uint64_t *words, size_t bytes);
	void (*nothing)(void *arg, uintptr_t lo, uintptr_t hi);	/* holds nothing, or can't be
								 * read */
	void *arg;
};
bool tri_roots_visit(const struct tri_root_visitor *v) TRI_HIDDEN;
void tri_root_scan_reset(void) TRI_HIDDEN;

#endif
