// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stack.c - where a thread's stack is, and the scan of what is on it
 *
 * What must be scanned of a thread that stands still is everything above its stack pointer in the
 * stack that the pointer is in, and above each older stack pointer of a stack that it has left and
 * will come back to.  A program may be on three sorts of stacks:
 *
 *  1. The thread's own.  Of a thread that the C library started its bounds are in the thread's
 *     descriptor (struct pthread).  The first thread's is what is mapped around __libc_stack_end:
 *     it may grow down to any length, as limits may be raised at any time, and where it ends is
 *     asked of the kernel by msync(), which says whether a range is mapped and makes no stack
 *     grow.
 *  2. A signal stack, which sigaltstack() tells.  It may be an array on one of the others, so that
 *     is asked first.  What was interrupted is told by the kernel's signal frames, which lie in
 *     it.
 *  3. A coroutine's.  One that is registered (coroutine.c) has bounds.  Of another one nobody
 *     knows where it ends: it is scanned up to the first page that can't be read.  And as nothing
 *     says where the thread left its own stack, all of that is scanned.
 *
 * So what can't be known is scanned as a whole.  None of it needs /proc, a descriptor or a lock,
 * and no read can fault (tri_scan_foreign()): it works in a signal handler, and after a fork in
 * any thread.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../core/heap/layout.h"
#include "error.h"
#include "forking.h"
#include "scan.h"
#include "stack.h"
#include "state.h"
#include "thread.h"
#include "tls.h"

#define PAGE 4096ul
#define RED_ZONE 128		/* below the stack pointer, where a function may keep data */
#define USER_END 0x7ffffffff000ul	/* stacks above it have to be asked for */
#define UNBOUNDED_BYTES (16ull << 20)	/* a stack without a known end that is worth a word */

/* Its address is on the first thread's stack, above all frames; set by the dynamic linker. */
extern void *__libc_stack_end;

/* Of what programs may be built with. */
#define IF_LINKED __attribute__((weak))
void *__asan_get_current_fake_stack(void) IF_LINKED;
void *__splitstack_find(void) IF_LINKED;
void *__get_unsafe_stack_top(void) IF_LINKED;

/* Whether this program has its variables on stacks that we know how to look at: 0 or -ENOTSUP. */
int tri_stack_check(void)
{
	tri_g.fake_stacks = __asan_get_current_fake_stack != NULL;
	if (__splitstack_find)
		return tri_fail(
			ENOTSUP,
			"tricolor: this program is built with -fsplit-stack, and its "
			"stacks are lists of pieces that the collector can't follow: build it "
			"without");
	if (__get_unsafe_stack_top)
		return tri_fail(ENOTSUP,
				"tricolor: this program is built with -fsanitize=safe-stack, and "
				"its arrays are on a second stack where the collector does not "
				"look: build it without");
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* Bounds                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Offset of {block, size, guard size} in a thread's descriptor, in words; 0: unknown. */
static size_t block_word;

/*
 * The descriptor at @self lies at the upper end of the stack @lo .. @hi, and names it; 0: not so.
 */
__attribute__((no_sanitize("address")))
static size_t find_bounds(const uintptr_t *self, uintptr_t lo, uintptr_t hi)
{
	size_t i;

	for (i = 1; (uintptr_t)self > lo && (uintptr_t)(self + i + 3) <= hi; i++)
		if (self[i] + self[i + 1] == hi && self[i + 1] - self[i + 2] == hi - lo)
			return i;
	return 0;
}

/*
 * Find out where the C library keeps the bounds of a thread's stack, by a thread whose bounds it
 * tells: the agent.  pthread_getattr_np() itself is not for a signal handler.
 */
void tri_stack_learn(void)
{
	pthread_attr_t attr;
	void *addr;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr))
		return;
	if (!pthread_attr_getstack(&attr, &addr, &size))
		block_word = find_bounds((const uintptr_t *)pthread_self(), (uintptr_t)addr,
					 (uintptr_t)addr + size);
	pthread_attr_destroy(&attr);
}

/* Whether all of it is mapped, readable or not. */
static bool mapped(uintptr_t lo, uintptr_t hi)
{
	return !syscall(SYS_msync, lo, hi - lo, MS_ASYNC);
}

/* The lowest address from which on everything up to @page is mapped. */
static uintptr_t lowest_mapped(uintptr_t page)
{
	uintptr_t lo = page, step = 16 * PAGE;

	while (lo > step && mapped(lo - step, lo)) {
		lo -= step;
		step *= 2;
	}
	for (; step >= PAGE; step /= 2)
		if (lo > step && mapped(lo - step, lo))
			lo -= step;
	return lo;
}

/* The address at which what is mapped from @page on ends. */
static uintptr_t highest_mapped(uintptr_t page)
{
	uintptr_t hi = page, step = 16 * PAGE;

	while (mapped(hi, hi + step)) {
		hi += step;
		step *= 2;
	}
	for (; step >= PAGE; step /= 2)
		if (mapped(hi, hi + step))
			hi += step;
	return hi;
}

/* Bounds that the C library tells, if it tells any that the descriptor is in.  Not in a handler. */
static bool stack_by_attributes(struct tri_thread *t, pthread_t self)
{
	bool held = tri_fork_hold(), found = false;
	pthread_attr_t attr;
	void *addr;
	size_t size;

	if (!pthread_getattr_np(self, &attr)) {
		found = !pthread_attr_getstack(&attr, &addr, &size) &&
			(uintptr_t)addr < (uintptr_t)self &&
			(uintptr_t)addr + size > (uintptr_t)self;
		pthread_attr_destroy(&attr);
	}
	tri_fork_release(held);
	if (found) {
		t->stack_lo = (uintptr_t)addr;
		t->stack_hi = (uintptr_t)addr + size;
	}
	return found;
}

/* A stack of which only an address near its upper end is known. */
static void stack_around(struct tri_thread *t, uintptr_t address)
{
	t->stack_grows = true;
	t->stack_lo = address & ~(PAGE - 1);
	t->stack_hi = highest_mapped(t->stack_lo);
}

/*
 * The bounds of the stack that @t, whose descriptor is @self, was started on.  Async-signal-safe
 * with @in_handler; without it, too, but for a C library whose descriptors are not understood.
 */
__attribute__((no_sanitize("address")))
void tri_stack_find(struct tri_thread *t, pthread_t self, bool in_handler)
{
	const uintptr_t *word = (const uintptr_t *)self + block_word;

	t->stack_grows = false;
	if (block_word && word[0]) {
		t->stack_lo = word[0] + word[2];
		t->stack_hi = word[0] + word[1];
	} else if (block_word || t->tid == tri_g.pid) {
		stack_around(t, (uintptr_t)__libc_stack_end);
	} else if (in_handler || !stack_by_attributes(t, self)) {
		stack_around(t, (uintptr_t)self);
	}
}

static bool within(uintptr_t lo, uintptr_t hi, uintptr_t sp)
{
	return (sp >= lo && sp < hi) || (sp + RED_ZONE >= lo && sp + RED_ZONE < hi);
}

/* Whether the arena lies between two addresses: it is no part of any stack. */
static bool around_arena(uintptr_t lo, uintptr_t hi)
{
	uintptr_t base = (uintptr_t)tri_g.mapping.base;

	return lo < base && hi > base;
}

/*
 * From @page on up to @t's stack, of which nothing that low was seen so far, all is mapped, and
 * none of it is arena.
 */
static bool goes_down_to(const struct tri_thread *t, uintptr_t page)
{
	return page >= t->stack_lo ||
	       (!around_arena(page, t->stack_lo) && mapped(page, t->stack_lo));
}

/*
 * Whether @sp is on the thread's own stack.  A stack that grows is one with whatever is mapped
 * below it without a gap: if that should be another one, it is scanned with this one, which is
 * more than enough.
 *
 * @sp is a stack pointer, or the end of the red zone below one, and nothing tells which.  So the
 * stack goes down to the page of @sp if that is mapped: what lies between @sp and the next page may
 * be frames.  If it is not, that is a red zone that nobody has written to, and the stack begins
 * above it.
 */
bool tri_stack_is_own(struct tri_thread *t, uintptr_t sp)
{
	uintptr_t page = (sp + RED_ZONE) & ~(PAGE - 1);

	if (!t->stack_grows || sp >= t->stack_lo)
		return within(t->stack_lo, t->stack_hi, sp);
	if (!goes_down_to(t, page))
		return false;
	if (goes_down_to(t, sp & ~(PAGE - 1)))
		page = sp & ~(PAGE - 1);
	if (page < t->stack_lo)
		t->stack_lo = page;
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Signal stacks                                                                              */
/* ------------------------------------------------------------------------------------------ */

/* Stack pointers of what handlers interrupted. */
struct interrupted {
	uintptr_t sp[8];
	unsigned int n;
	bool complete;
};

/*
 * Remember where the signal stack of the calling thread is.  The agent, which scans for threads
 * that are blocked, can't ask.
 */
void tri_stack_note(struct tri_thread *t)
{
	stack_t ss;

	t->fake_stack = tri_fake_stack();
	t->signal_lo = t->signal_hi = 0;
	if (!syscall(SYS_sigaltstack, NULL, &ss) && !(ss.ss_flags & SS_DISABLE)) {
		t->signal_lo = (uintptr_t)ss.ss_sp;
		t->signal_hi = (uintptr_t)ss.ss_sp + ss.ss_size;
	}
}

/*
 * Signal frames in a piece of a signal stack: the kernel has written which signal stack it used,
 * and after that the registers.  Data that looks the same has more scanned and nothing less.
 */
static void look_for_frames(const struct tri_thread *t, const unsigned char *piece, size_t len,
			    struct interrupted *found)
{
	const size_t rsp = offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]);
	size_t i;

	for (i = 0; i + rsp + sizeof(uintptr_t) <= len; i += 8) {
		const uintptr_t *word = (const uintptr_t *)(piece + i);
		uintptr_t sp = word[rsp / 8];

		if (word[offsetof(ucontext_t, uc_stack.ss_sp) / 8] != t->signal_lo ||
		    word[offsetof(ucontext_t, uc_stack.ss_size) / 8] !=
			    t->signal_hi - t->signal_lo ||
		    (sp >= t->signal_lo && sp < t->signal_hi))
			continue;
		/*
		 * The frame of the first handler is the last that is found: it is never left out.
		 */
		if (found->n == sizeof(found->sp) / sizeof(found->sp[0])) {
			found->n--;
			found->complete = false;
		}
		found->sp[found->n++] = sp - RED_ZONE;
	}
}

/* What was interrupted by the handlers that run on the signal stack above @sp. */
static void find_interrupted(struct tri_thread *t, struct tri_thread *to, uintptr_t sp,
			     struct interrupted *found)
{
	const size_t frame = offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]) + sizeof(uintptr_t);

	found->n = 0;
	found->complete = true;
	sp = (sp + 7) & ~7ul;
	while (sp < t->signal_hi) {
		size_t n = tri_scan_copy(to, sp, t->signal_hi);

		look_for_frames(t, to->copy, n, found);
		if (!n)
			sp = (sp & ~(PAGE - 1)) + PAGE;
		else if (sp + n >= t->signal_hi || n < 2 * frame)
			sp += n;
		else
			sp += n - (frame - 8);	/* a frame may go on in the next piece */
	}
	found->complete &= found->n != 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The address sanitizer                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* ------------------------------------------------------------------------------------------ */
/* The scan                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static void scan_part(struct tri_thread *t, struct tri_thread *to, uintptr_t lo, uintptr_t hi,
		      bool all)
{
	tri_scan_later(to, lo, hi, all, true);
	tri_scan_fake_frames(to, t->fake_stack, lo, hi, all);
}

/* From @sp up to the first page that can't be read, or to the arena. */
static void scan_unbounded(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all)
{
	uintptr_t base = (uintptr_t)tri_g.mapping.base, limit = USER_END, end;

	if (sp < base)
		limit = base;
	else if (sp - base < tri_g.mapping.layout.file_bytes)
		limit = base + tri_g.mapping.layout.file_bytes;
	end = tri_scan_up(to, sp, limit, all);
	/* The red zone may begin in the page below the stack. */
	if (end == sp && (sp & (PAGE - 1)) >= PAGE - RED_ZONE)
		end = tri_scan_up(to, (sp & ~(PAGE - 1)) + PAGE, limit, all);
	tri_scan_fake_frames(to, t->fake_stack, sp, end, all);
	if (end - sp > tri_read(&tri_g.unbounded_bytes))
		tri_write(&tri_g.unbounded_bytes, end - sp);
}

/* Where a stack that grows ends below, of which @lo is the lowest that was seen. */
uintptr_t tri_stack_lowest(uintptr_t lo)
{
	uintptr_t lowest = lowest_mapped(lo & ~(PAGE - 1));

	return around_arena(lowest, lo) ? lo : lowest;
}

static void scan_own_stack(struct tri_thread *t, struct tri_thread *to, bool all)
{
	uintptr_t lo = t->stack_grows ? tri_stack_lowest(t->stack_lo) : t->stack_lo;

	scan_part(t, to, lo, t->stack_hi, all);
}

/* The stack that @t has switched to, if it is not the one that it was started on. */
static const struct tri_stack *other_stack(const struct tri_thread *t)
{
	return t->stack != t->own ? t->stack : NULL;
}

/* From @sp up on whatever stack it is on.  True if that is where @t said that it is. */
static bool scan_from(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all)
{
	const struct tri_stack *other = other_stack(t);

	if (other && within(other->lo, other->hi, sp)) {
		scan_part(t, to, sp > other->lo ? sp : other->lo, other->hi, all);
		return true;
	}
	if (tri_stack_is_own(t, sp)) {
		scan_part(t, to, sp > t->stack_lo ? sp : t->stack_lo, t->stack_hi, all);
		return !other;
	}
	/* Between tri_stack_switch() and the switch. */
	if (within(t->left_lo, t->left_hi, sp))
		scan_part(t, to, sp, t->left_hi, all);
	scan_unbounded(t, to, sp, all);
	return false;
}

/*
 * All stacks that @t is on, from @sp up, and its thread-local variables.  @t stands still: it is
 * the calling thread, or blocked.  Stacks that it has left by tri_stack_switch() are not its own
 * any more.
 */
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all)
{
	struct interrupted found = { { sp }, 1, true };
	const struct tri_stack *other = other_stack(t);
	bool met = false;
	unsigned int i;

	if (t == to)
		tri_stack_note(t);
	if (within(t->signal_lo, t->signal_hi, sp)) {
		scan_part(t, to, sp > t->signal_lo ? sp : t->signal_lo, t->signal_hi, all);
		find_interrupted(t, to, sp, &found);
	}
	for (i = 0; i < found.n; i++)
		met |= scan_from(t, to, found.sp[i], all);
	met &= found.complete;
	if (other && !met) {
		tri_scan_frame(to, (uintptr_t)other->regs, (uintptr_t)(other->regs + 6), all);
		scan_part(t, to, other->lo, other->hi, all);
	}
	if (other ? !t->own : !met)
		scan_own_stack(t, to, all);
	tri_tls_scan(t, to, all);
	tri_scan_now(to, all);
}

/* Agent, after a scan.  A stack without a known end costs the program time that it can spare. */
void tri_stack_complain(void)
{
	static uint64_t told_bytes = UNBOUNDED_BYTES;
	uint64_t bytes = tri_read(&tri_g.unbounded_bytes);

	if (bytes <= told_bytes)
		return;
	told_bytes = 2 * bytes;
	tri_complain(
		TRI_COMPLAINT_STACKS, tri_g.settings.prints,
		"tricolor: a thread runs on a stack that is not registered, and %llu MiB above "
		"its stack pointer were scanned, up to a page that can't be read; "
		"tri_stack_register() says where a stack ends",
		(unsigned long long)(bytes >> 20));
}
