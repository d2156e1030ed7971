// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scan.c - conservative scans of stacks, registers and roots
 *
 * Every aligned word that points into an allocated, unmarked object is appended to a buffer.
 *
 * On stacks and in registers, a word that points at the start of an object keeps the object before
 * it as well.  The word may be a pointer one past the end of that one: while the program walks an
 * array, a compiler may keep no other pointer to it.  In roots and objects such a word keeps one
 * object only.  There the program stores what it means, and the other object would be kept for as
 * long as the root exists.
 *
 * Other parts of the program may unmap, protect or truncate memory at any time.  Such memory is
 * copied by a system call first, which returns an error where a plain read would fault:
 * tri_scan_foreign().
 *
 * Async-signal-safe: memory accesses and system calls.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/span.h"
#include "../base/attributes.h"
#include "shade.h"
#include "scan.h"
#include "stack.h"
#include "../base/state.h"
#include "../threads/thread.h"

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
			start = ((uint64_t)o.page << TRI_PAGE_SHIFT) +
				(uint64_t)o.index * o.class->size;
			if (start != offset)
				continue;
		}
		if (past_end)
			found(to, offset - 1, all, &o);
	}
}

/* Scan a range of roots. */
void tri_scan_range(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	scan_words(to, lo, hi, all, false);
}

#define DESCRIPTOR_BYTES 4096ul		/* more than a struct pthread has */
#define DESCRIPTOR_ALIGN 64ul

/*
 * Scan those of the C library's thread descriptors to which words in [@lo, @hi) point.  The
 * argument of a thread that is being made may be stored nowhere else, and neither may the result of
 * a thread that has ended.  A descriptor is recognised by its first word and its third, which hold
 * its own address.  This is done only if another pthread_create() than the library's is in use: see
 * design/guest.md.
 */
__attribute__((no_sanitize("address", "thread")))
static void scan_descriptors(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	const volatile uintptr_t *p = (const volatile uintptr_t *)((lo + 7) & ~7ul);
	const volatile uintptr_t *end = (const volatile uintptr_t *)(hi & ~7ul);
	uintptr_t piece[64];
	size_t at;

	for (; p < end; p++) {
		uintptr_t word = *p;

		if ((word & (DESCRIPTOR_ALIGN - 1)) || word < 65536 || word >> 47 ||
		    word - tri_g.view.heap_va < tri_g.view.heap_pages << TRI_PAGE_SHIFT ||
		    !tri_read_foreign(piece, word, 3 * sizeof(*piece)) || piece[0] != word ||
		    piece[2] != word)
			continue;
		for (at = 0;
		     at < DESCRIPTOR_BYTES && tri_read_foreign(piece, word + at, sizeof(piece));
		     at += sizeof(piece))
			scan_words(to, (uintptr_t)piece, (uintptr_t)(piece + 64), all, false);
	}
}

/* Scan words that do not change, or a copy of words.  @past_end: they are of a stack. */
void tri_scan_copied(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all, bool past_end)
{
	scan_words(to, lo, hi, all, past_end);
	if (past_end && tri_read(&tri_g.uninterposed_threads))
		scan_descriptors(to, lo, hi, all);
}

/*
 * Whether the page can be read.  rt_sigprocmask() tells: it reads 8 bytes, and then fails for
 * another reason.  Before that, msync() tells whether the page is mapped at all: a read just below
 * a stack would make the stack grow.
 */
static bool readable(uintptr_t page)
{
	return !syscall(SYS_msync, page, 4096L, MS_ASYNC) &&
	       syscall(SYS_rt_sigprocmask, -1, page, NULL, 8) < 0 && errno != EFAULT;
}

/* Copy [@from, @from + @len) to @to->copy.  Returns how many bytes were copied, or -errno. */
static ssize_t copy_in(struct tri_thread *to, uintptr_t from, size_t len)
{
	struct iovec here = { to->copy, len }, there = { (void *)from, len };
	ssize_t n = syscall(SYS_process_vm_readv, (long)tri_g.pid, &here, 1L, &there, 1L, 0L);

	return n < 0 ? -errno : n;
}

/*
 * Copy without process_vm_readv(): ask whether the page can be read, then read it.  If another
 * thread unmaps the page in between, the read faults.  In a sandbox that denies the call nothing
 * can prevent that.
 */
__attribute__((no_sanitize("address", "thread")))
static size_t probe_and_copy(struct tri_thread *to, uintptr_t from, size_t len)
{
	const volatile uint64_t *word = (const volatile uint64_t *)from;
	size_t i;

	if (!readable(from & ~4095ul))
		return 0;
	for (i = 0; i < len / 8; i++)
		((uint64_t *)to->copy)[i] = word[i];
	return len & ~7ul;
}

/*
 * Copy as many words from the beginning of [@from, @end) as one step can, into @to->copy, without a
 * fault.  Both bounds are aligned.  Returns how many bytes were copied; 0: the first page can't be
 * read.  @to, whose buffer is used, is the calling thread, which is inside, or the agent.
 */
size_t tri_scan_copy(struct tri_thread *to, uintptr_t from, uintptr_t end)
{
	size_t len = end - from, first = 4096 - (from & 4095);
	ssize_t n;

	if (len > sizeof(to->copy))
		len = sizeof(to->copy);
	if (first > len)
		first = len;
	if (!tri_read(&tri_g.no_vm_read)) {
		n = copy_in(to, from, len);
		/* A kernel may refuse the whole range because of one page in the middle. */
		if ((n == -EFAULT || n == 0) && len > first)
			n = copy_in(to, from, first);
		if (n >= 0 || n == -EFAULT || n == -ENOMEM)
			return n > 0 ? (size_t)n & ~7ul : 0;
		/*
		 * The call itself was refused.  A program may enter a sandbox at any time, so this
		 * may be the first time.
		 */
		tri_write(&tri_g.no_vm_read, true);
	}
	return probe_and_copy(to, from, first);
}

static size_t scan_piece(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all, bool past_end)
{
	size_t n = tri_scan_copy(to, lo, hi);

	tri_scan_copied(to, (uintptr_t)to->copy, (uintptr_t)to->copy + n, all, past_end);
	return n;
}

/*
 * Scan a stack from @lo up to the first page that can't be read, or up to @limit.  Returns where
 * the scan ended.
 */
uintptr_t tri_scan_up(struct tri_thread *to, uintptr_t lo, uintptr_t limit, bool all)
{
	size_t n;

	for (lo = (lo + 7) & ~7ul; lo < limit && (n = scan_piece(to, lo, limit & ~7ul, all, true));
	     lo += n)
		;
	return lo;
}

/*
 * Scan [@lo, @hi).  Any page of it may be unmapped, protected, or behind the end of its file, or
 * may become so meanwhile.  Such pages are left out.  @to is as in tri_scan_copy().  If a word is
 * stored to meanwhile, the old value may be read, or the new one, or a mixture of both.
 */
struct tri_scanned tri_scan_foreign(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all,
				    bool past_end)
{
	struct tri_scanned done = { 0, hi };

	lo = (lo + 7) & ~7ul;
	hi &= ~7ul;
	while (lo < hi) {
		size_t n = scan_piece(to, lo, hi, all, past_end);

		if (n) {
			done.bytes += n;
			lo += n;
		} else {
			if (done.hole > lo)
				done.hole = lo;
			lo = (lo & ~4095ul) + 4096;
			/* It was the last page of the address space. */
			if (!lo)
				break;
		}
	}
	return done;
}

/* Copy @bytes bytes from @from to @to.  False: not all could be read.  Async-signal-safe. */
__attribute__((no_sanitize("address", "thread")))
bool tri_read_foreign(void *to, uintptr_t from, size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)from, bytes };
	const volatile unsigned char *byte = (const volatile unsigned char *)from;
	uintptr_t page = from & ~4095ul;
	ssize_t n;
	size_t i;

	if (!tri_read(&tri_g.no_vm_read)) {
		n = syscall(SYS_process_vm_readv, (long)tri_g.pid, &here, 1L, &there, 1L, 0L);
		if (n == (ssize_t)bytes)
			return true;
		if (n >= 0 || errno == EFAULT || errno == ENOMEM)
			return false;
		tri_write(&tri_g.no_vm_read, true);
	}
	for (; page < from + bytes; page += 4096)
		if (!readable(page))
			return false;
	/* Not by memcpy(): the sanitizers replace it by a function that checks the addresses. */
	for (i = 0; i < bytes; i++)
		((unsigned char *)to)[i] = byte[i];
	return true;
}

/*
 * Like tri_scan_foreign(), but the scan may be put off until tri_scan_now().  Several small ranges
 * are then copied by one system call, which is most of the cost of a small scan.
 */
void tri_scan_later(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all, bool past_end)
{
	struct tri_later *l = &to->later;

	lo = (lo + 7) & ~7ul;
	hi &= ~7ul;
	if (lo >= hi)
		return;
	if (hi - lo > sizeof(to->copy) / 2) {
		tri_scan_foreign(to, lo, hi, all, past_end);
		return;
	}
	if (l->n == TRI_LATER || l->bytes + (hi - lo) > sizeof(to->copy))
		tri_scan_now(to, all);
	l->range[l->n].lo = lo;
	l->range[l->n].hi = hi;
	l->range[l->n++].past_end = past_end;
	l->bytes += hi - lo;
}

/* Scan the ranges that tri_scan_later() has put off. */
void tri_scan_now(struct tri_thread *to, bool all)
{
	struct iovec here = { to->copy, to->later.bytes }, there[TRI_LATER];
	uintptr_t copy = (uintptr_t)to->copy;
	struct tri_later *l = &to->later;
	unsigned int i;
	bool copied;

	for (i = 0; i < l->n; i++) {
		there[i].iov_base = (void *)l->range[i].lo;
		there[i].iov_len = l->range[i].hi - l->range[i].lo;
	}
	copied = l->n > 1 && !tri_read(&tri_g.no_vm_read) &&
		 syscall(SYS_process_vm_readv, (long)tri_g.pid, &here, 1L, there, (long)l->n, 0L) ==
		 (ssize_t)l->bytes;
	for (i = 0; i < l->n; i++) {
		if (copied)
			tri_scan_copied(to, copy, copy + there[i].iov_len, all,
					l->range[i].past_end);
		else
			tri_scan_foreign(to, l->range[i].lo, l->range[i].hi, all,
					 l->range[i].past_end);
		copy += there[i].iov_len;
	}
	l->n = 0;
	l->bytes = 0;
}

/* Find out whether this process may call process_vm_readv() on itself. */
void tri_scan_detect(void)
{
	uint64_t from = 1, copy = 0;
	struct iovec here = { &copy, 8 }, there = { &from, 8 };

	tri_write(&tri_g.no_vm_read, tri_g.settings.no_vm_read ||
		  syscall(SYS_process_vm_readv, (long)tri_g.pid, &here, 1L, &there, 1L, 0L) != 8 ||
		  copy != from);
}

/*
 * Clear the registers that a function call may change, in which no caller keeps a value.  They
 * still hold pointers that the code which marks has used, or a memcpy() of the program, which on
 * large machines uses vector registers that no other code uses.  All registers are in a signal
 * frame, and so are scanned.  A pointer in a register that the thread does not use again would keep
 * its object for ever.
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
			 ".endr"
			 :
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
}
