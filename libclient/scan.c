// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scan.c - conservative scans of stacks, registers and roots
 *
 * Every aligned word that points into an allocated, unmarked object is appended to a buffer.  On stacks and
 * in registers a word that points at the very start of an object may also be one past the end of the
 * object before it, and keeps both: a compiler may leave the program nothing else while it walks an array.
 * Not so in roots and objects, where a program says what it stores, and where the neighbour would be
 * kept for good.
 *
 * Async-signal-safe: memory accesses, and a system call for stacks that are not the thread's own.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static bool found(struct tri_thread *to, uint64_t offset, bool all, struct tri_object *o)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t gen = to->gen;

	if (!tri_in_heap(offset) || !tri_resolve(v, offset, o) ||
	    !tri_bit(v->marks[gen & 1], o->page, o->index))
		return false;
	if (all || !tri_bit(v->marks[~gen & 1], o->page, o->index))
		tri_append(to, v->heap_va + offset);
	return true;
}

__attribute__((no_sanitize("address", "thread")))
static void scan_words(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all, bool past_end)
{
	uint64_t heap_va = tri_g.view.heap_va;
	uint64_t limit = tri_read(&tri_g.view.ctl->top_pages) << TRI_PAGE_SHIFT;
	const volatile uint64_t *p = (const volatile uint64_t *)((lo + 7) & ~7ull);
	const volatile uint64_t *end = (const volatile uint64_t *)(hi & ~7ull);

	for (; p < end; p++) {
		uint64_t offset = *p - heap_va, start;
		struct tri_object o;

		/* One past the last object of the last page is the limit itself. */
		if (likely(offset > limit) || !offset)
			continue;
		if (found(to, offset, all, &o)) {
			if (!past_end)
				continue;
			start = ((uint64_t)o.page << TRI_PAGE_SHIFT) + (uint64_t)o.index * o.class->size;
			if (start != offset)
				continue;
		}
		if (past_end)
			found(to, offset - 1, all, &o);
	}
}

/* A range of roots. */
void tri_scan_range(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	scan_words(to, lo, hi, all, false);
}

/* Words of a stack or registers. */
void tri_scan_frame(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	scan_words(to, lo, hi, all, true);
}

/* Whether the page can be read, asked of a system call that reads 8 bytes and then objects. */
static bool readable(uintptr_t page)
{
	return syscall(SYS_rt_sigprocmask, -1, page, NULL, 8) < 0 && errno != EFAULT;
}

/* The whole of a stack whose lowest used address is unknown, from the top down to a hole. */
static void scan_down(struct tri_thread *t, struct tri_thread *to, bool all)
{
	uintptr_t page = (t->stack_hi - 1) & ~4095ul, lo = page;

	while (lo > t->stack_lo && readable(lo - 4096))
		lo -= 4096;
	tri_scan_frame(to, lo, t->stack_hi, all);
}

/*
 * The stack of @t from @sp up, and its thread-local variables.  A stack pointer that is not on the
 * thread's own stack is on a signal stack or a coroutine's: then both are scanned whole.
 */
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all)
{
	if (sp >= t->stack_lo && sp < t->stack_hi) {
		tri_scan_frame(to, sp, t->stack_hi, all);
	} else {
		uintptr_t hi = (sp & ~4095ul) + 4096;

		while (hi - sp < (16ul << 20) && readable(hi))
			hi += 4096;
		tri_scan_frame(to, sp, hi, all);
		scan_down(t, to, all);
	}
	if (t->tls_lo)
		tri_scan_range(to, t->tls_lo, t->tls_hi, all);
}

/*
 * Nothing that a caller has is in these registers across a call.  What is left there is stale: of the
 * marking kernel, or of a memcpy() of the program's, which on large machines uses vector registers
 * that nothing else does.  A signal frame shows them all to scan_words(), and one that the thread
 * does not use again would keep what it points at for good.
 */
__attribute__((noinline))
void tri_forget_registers(void)
{
#ifdef __AVX512F__
#define HIGH_CLOBBERS , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
		"xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#else
#define HIGH_CLOBBERS
#endif
#define LOW_CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
		"xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile(".irp r,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
				 "vpxorq %%zmm\\r, %%zmm\\r, %%zmm\\r\n\t"
				 ".endr" : : : "memory" HIGH_CLOBBERS);
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" : : : LOW_CLOBBERS);
	else
		__asm__ volatile(".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
				 "pxor %%xmm\\r, %%xmm\\r\n\t"
				 ".endr" : : : LOW_CLOBBERS);
	__asm__ volatile(".irp r,eax,ecx,edx,esi,edi,r8d,r9d,r10d,r11d\n\t"
			 "xorl %%\\r, %%\\r\n\t"
			 ".endr" : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
}
