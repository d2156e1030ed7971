// SPDX-License-Identifier: GPL-2.0-only
/* pageheap_alone.c - see pageheap_alone.h */
#include "pageheap_alone.h"

#include "libclient/limits/throttle.h"

struct tri_global tri_g;
bool pageheap_refusing;

bool tri_grant_may_take(uint64_t pages)
{
	(void)pages;
	return true;
}

void tri_grant_took(uint64_t pages)
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
	return pageheap_refusing;
}
