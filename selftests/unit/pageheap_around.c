// SPDX-License-Identifier: GPL-2.0-only
/*
 * pageheap_around.c - what the library's page heap calls of the rest of it, for tests without that:
 * it does nothing
 *
 * No header: libclient has their declarations.
 */
#include "libclient/internal.h"

bool tri_uncollected_is_full(uint64_t pages)
{
	(void)pages;
	return false;
}

void tri_dump_begin(void)
{
}

void tri_dump_pages(uint64_t page, uint64_t pages)
{
	(void)page;
	(void)pages;
}

void tri_dump_trim(void)
{
}
