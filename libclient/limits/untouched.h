/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * untouched.h - pages that were taken from the page heap and are not charged by the kernel yet: see
 * untouched.c
 */
#ifndef TRI_UNTOUCHED_H
#define TRI_UNTOUCHED_H

#include <stdint.h>

#include "../base/attributes.h"

int tri_untouched_make(uint64_t heap_pages) TRI_HIDDEN;
void tri_untouched_add(uint64_t word, uint64_t mask) TRI_HIDDEN;
void tri_untouched_copied(void) TRI_HIDDEN;
uint64_t tri_untouched_bytes(void) TRI_HIDDEN;

#endif
