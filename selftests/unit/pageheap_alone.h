/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pageheap_alone.h - the library's page heap without the rest of the library
 *
 * What it calls of that does nothing here, and refuses nothing but if the test says so.
 */
#ifndef TRICOLOR_SELFTESTS_PAGEHEAP_ALONE_H
#define TRICOLOR_SELFTESTS_PAGEHEAP_ALONE_H

#include "libclient/pageheap.c"
#include "pageheap_around.h"

struct tri_global tri_g;
static bool refusing;

bool tri_throttle_may_take(uint64_t pages)
{
	(void)pages;
	return true;
}

void tri_throttle_took(uint64_t pages)
{
	(void)pages;
}

void tri_untouched_add(uint64_t word, uint64_t mask)
{
	(void)word;
	(void)mask;
}

void tri_untouched_copied(void)
{
}

bool tri_refusing(void)
{
	return refusing;
}

#endif
