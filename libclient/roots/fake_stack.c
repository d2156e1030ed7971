// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fake_stack.c - frames whose variables the address sanitizer keeps outside of the stack
 *
 * Async-signal-safe.
 */
#include <string.h>

#include "scan.h"
#include "stack.h"
#include "../base/state.h"
#include "../threads/thread.h"

#define PAGE 4096ul

/* These exist only in programs that are built with the address sanitizer. */
void *__asan_get_current_fake_stack(void) __attribute__((weak));
void *__asan_addr_is_in_fake_stack(void *fake_stack, void *address, void **begin, void **end)
	__attribute__((weak));

void *tri_fake_stack(void)
{
	return __asan_get_current_fake_stack ? __asan_get_current_fake_stack() : NULL;
}

/*
 * With detect_stack_use_after_return, a function's variables are in a frame outside of the stack.
 * The frame's address is on the stack or in a register.  Scan the frames that words in [@lo, @hi)
 * point into.
 */
void tri_scan_fake_frames(struct tri_thread *to, void *fake_stack, uintptr_t lo, uintptr_t hi,
			  bool all)
{
	uintptr_t word[64];
	void *begin, *end;
	size_t n, i;

	lo = (lo + 7) & ~7ul;
	hi &= ~7ul;
	for (; fake_stack && lo < hi; lo += n ? n : PAGE - (lo & (PAGE - 1))) {
		n = tri_scan_copy(to, lo, hi - lo < sizeof(word) ? hi : lo + sizeof(word));
		memcpy(word, to->copy, n);
		for (i = 0; i < n / 8; i++)
			if (__asan_addr_is_in_fake_stack(fake_stack, (void *)word[i], &begin, &end))
				tri_scan_foreign(to, (uintptr_t)begin, (uintptr_t)end, all, true);
	}
}

/* Scan words of a stack or registers, and the frames of the address sanitizer. */
void tri_scan_frame(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	tri_scan_copied(to, lo, hi, all, true);
	tri_scan_fake_frames(to, to == tri_g.agent ? to->fake_stack : tri_fake_stack(), lo, hi,
			     all);
}
