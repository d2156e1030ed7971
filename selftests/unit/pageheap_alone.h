/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pageheap_alone.h - the library's page heap without the rest of the library
 *
 * What it calls of that is in pageheap_alone.c and pageheap_around.c, does nothing, and refuses
 * nothing unless the test says so.
 */
#ifndef TRICOLOR_SELFTESTS_PAGEHEAP_ALONE_H
#define TRICOLOR_SELFTESTS_PAGEHEAP_ALONE_H

#include "libclient/internal.h"

extern bool pageheap_refusing;		/* the page heap is to take no more pages */

#endif
