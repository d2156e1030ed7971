// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * growing.c - tri_stack_new() and tri_stack_free(): the memory of stacks that grow and shrink
 *
 * roots/stack_memory.c has the rules.  Below each stack lies a guard of 16 pages, so that also a
 * frame that is larger than a page, and does not touch each of its pages in order, ends in it.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "../base/attributes.h"
#include "../base/error.h"
#include "../heap/backing.h"
#include "../roots/stack_memory.h"
#include "tricolor.h"

#define PAGE 4096ul
#define GUARD (16 * PAGE)
#define MOST (1ul << 30)

TRI_EXPORT void *tri_stack_new(size_t most)
{
	size_t bytes = (most + PAGE - 1) & ~(PAGE - 1);
	char *space, *stack;

	if (!most || most > MOST) {
		errno = -tri_fail(EINVAL, "tricolor: a stack has from 1 byte to 1 GiB, not %zu bytes",
				  most);
		return NULL;
	}
	space = mmap(NULL, GUARD + bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (space == MAP_FAILED)
		goto failed;
	stack = space + GUARD;
	/* A huge page would give 2 MiB at once.  A kernel without them has no such advice. */
	madvise(stack, bytes, MADV_NOHUGEPAGE);
	if (!tri_backing_lock_as_used(stack, bytes) ||
	    mprotect(stack, bytes, PROT_READ | PROT_WRITE) ||
	    tri_stack_memory_add((uintptr_t)stack, bytes)) {
		munmap(space, GUARD + bytes);
		goto failed;
	}
	return stack;
failed:
	errno = -tri_fail(ENOMEM, "tricolor: no address space for a stack of %zu bytes: raise "
			  "RLIMIT_AS or vm.max_map_count, of which each stack takes two mappings",
			  most);
	return NULL;
}

TRI_EXPORT int tri_stack_free(void *stack)
{
	struct tri_stack *registered;
	size_t bytes;
	int err;

	if (!stack)
		return 0;
	registered = tri_stack_memory_owner((uintptr_t)stack);
	err = tri_stack_unregister(registered);
	if (err)
		return err;
	bytes = tri_stack_memory_remove((uintptr_t)stack);
	if (!bytes)
		return tri_fail(EINVAL, "tricolor: %p is no stack that tri_stack_new() made", stack);
	munmap((char *)stack - GUARD, GUARD + bytes);
	return 0;
}
