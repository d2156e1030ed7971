// SPDX-License-Identifier: GPL-2.0-only
/* plain_arena.c - see plain_arena.h */
#include "plain_arena.h"

void plain_arena(struct tri_view *view, uint64_t pages)
{
	static struct tri_layout layout;
	static void *base;

	if (base)
		munmap(base, layout.file_bytes);
	if (tri_layout_init(&layout, pages))
		ksft_exit_fail_msg("no layout\n");
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	tri_view_init(view, base, &layout, (uint64_t)(uintptr_t)base + layout.heap);
}
