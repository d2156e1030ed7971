// SPDX-License-Identifier: GPL-2.0-only
/* plain_arena.c - see plain_arena.h */
#include "plain_arena.h"

#include <fcntl.h>
#include <unistd.h>

/* Where a client would have the heap: an address that has nothing to do with where it is here. */
#define CLIENT_VA 0x123456789000

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

int plain_arena_in_file(struct tri_view *view, uint64_t pages)
{
	struct tri_layout layout;
	void *base;
	int fd;

	if (tri_layout_init(&layout, pages))
		ksft_exit_fail_msg("no layout\n");
	fd = memfd_create("arena", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)layout.file_bytes))
		ksft_exit_fail_msg("no file for an arena\n");
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	tri_view_init(view, base, &layout, CLIENT_VA);
	return fd;
}

void plain_arena_clear(const struct tri_view *view, int fd)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)view->layout.file_bytes))
		ksft_exit_fail_msg("can't punch a hole\n");
}
