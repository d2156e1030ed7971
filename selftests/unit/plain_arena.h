/* SPDX-License-Identifier: GPL-2.0-only */
/* plain_arena.h - an arena in memory of the test's own, which nobody else has */
#ifndef TRICOLOR_SELFTESTS_PLAIN_ARENA_H
#define TRICOLOR_SELFTESTS_PLAIN_ARENA_H

#include <sys/mman.h>

#include "core/heap/layout.h"
#include "kselftest.h"

/* @view is that of a new one with @pages; the one before is gone. */
static inline void plain_arena(struct tri_view *view, uint64_t pages)
{
	static struct tri_layout layout;
	static void *base;

	if (base)
		munmap(base, layout.file_bytes);
	if (tri_layout_init(&layout, pages))
		ksft_exit_fail_msg("no layout\n");
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (base == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	tri_view_init(view, base, &layout, (uint64_t)(uintptr_t)base + layout.heap);
}

#endif
