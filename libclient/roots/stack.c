// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stack.c - where a thread's stack is, and the scan of what is on it
 *
 * Of a thread that stands still, everything must be scanned that is above its stack pointer in the
 * stack that the pointer is in.  The same holds for each stack that the thread has left and will
 * come back to, by the stack pointer that it had there.  A thread may be on three kinds of stacks:
 *
 *  1. The thread's own stack.  If the C library started the thread, the bounds are in the thread's
 *     descriptor (struct pthread).  The first thread's stack is what is mapped around
 *     __libc_stack_end.  It may grow down to any length, as limits may be raised at any time.  So
 *     the kernel is asked where it ends: msync() says whether a range is mapped, and makes no
 *     stack grow.
 *  2. A signal stack, whose bounds sigaltstack() tells.  It may be an array on one of the other
 *     stacks, so it is tried first.  The kernel's signal frames on it tell what was interrupted.
 *  3. A coroutine's stack.  One that is registered (coroutine.c) has bounds.  Nobody knows where
 *     another one ends, so it is scanned up to the first page that can't be read.  And as nothing
 *     says where the thread left its own stack, all of that is scanned.
 *
 * So what can't be known is scanned as a whole.  None of this needs /proc, a descriptor or a lock,
 * and no read can fault (tri_scan_foreign()).  So it works in a signal handler, and in any thread
 * after a fork().
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../base/error.h"
#include "../start/forking.h"
#include "scan.h"
#include "stack.h"
#include "stack_memory.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tls.h"

#define PAGE 4096ul
#define RED_ZONE 128		/* below the stack pointer, where a function may keep data */
#define USER_END 0x7ffffffff000ul	/* programs get addresses above it only if they ask */
#define UNBOUNDED_BYTES (16ull << 20)	/* more than that of a stack without a known end is
					 * reported */

/* Its address is on the first thread's stack, above all frames; set by the dynamic linker. */
extern void *__libc_stack_end;

/* Programs that are built with certain options have these functions. */
#define IF_LINKED __attribute__((weak))
void *__asan_get_current_fake_stack(void) IF_LINKED;
void *__splitstack_find(void) IF_LINKED;
void *__get_unsafe_stack_top(void) IF_LINKED;

/** Check that the program's variables are on stacks that can be scanned.  Returns 0 or -ENOTSUP. */
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

/* Where a thread's descriptor has {block, size, guard size}, in words; 0: unknown.  The agent's. */
static size_t block_word;

/*
 * Find the bounds @lo and @hi of a stack in the descriptor at @self, which lies at its upper end.
 * Returns where they are, in words; 0: they are not there.
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

/**
 * Learn where the C library keeps the bounds of a thread's stack.  Called by the agent, whose
 * bounds the C library tells.  A signal handler may not call pthread_getattr_np().
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

/* Whether all of a range is mapped, readable or not. */
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

/* The first address from @page on that is not mapped. */
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

/*
 * Take the bounds that the C library tells.  False: it tells none, or the descriptor is not between
 * them.  Not in a signal handler.
 */
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

/* Take as bounds what is mapped around @address, which is near the upper end of the stack. */
static void stack_around(struct tri_thread *t, uintptr_t address)
{
	t->stack_grows = true;
	t->stack_lo = address & ~(PAGE - 1);
	t->stack_hi = highest_mapped(t->stack_lo);
}

/**
 * Find the bounds of the stack that @t, whose descriptor is @self, was started on.
 * Async-signal-safe with @in_handler; and without it too, if the C library's descriptors are
 * understood.
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

/* Whether the arena, which is no part of any stack, lies between two addresses. */
static bool around_arena(uintptr_t lo, uintptr_t hi)
{
	uintptr_t base = (uintptr_t)tri_g.mapping.base;

	return lo < base && hi > base;
}

/*
 * Whether the stack of @t, of which nothing that low was seen so far, reaches down to @page: all is
 * mapped in between, and none of it is arena.
 */
static bool goes_down_to(const struct tri_thread *t, uintptr_t page)
{
	return page >= t->stack_lo ||
	       (!around_arena(page, t->stack_lo) && mapped(page, t->stack_lo));
}

/**
 * Whether @sp is on the thread's own stack.  What is mapped below a stack that grows, without a
 * gap, counts as a part of it.  If that is another stack, it is scanned with this one, and that is
 * more than enough.
 *
 * @sp is a stack pointer, or the end of the red zone below one, and nothing tells which.  If the
 * page of @sp is mapped, the stack goes down to it, since there may be frames between @sp and the
 * next page.  If it is not mapped, nobody has written to that red zone, and the stack begins above
 * it.
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

/* The stack pointers that handlers have interrupted. */
struct interrupted {
	uintptr_t sp[8];
	unsigned int n;
	bool complete;			/* none was left out, and there is one */
};

/**
 * Note where the signal stack of the calling thread is.  The agent, which scans for threads that
 * are blocked, can't ask the kernel for it.
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
 * Find the signal frames in a piece of a signal stack.  In a frame the kernel has written which
 * signal stack it used, and behind that the registers.  If other data looks the same, more is
 * scanned, and nothing less.
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
		/* The frame of the first handler is found last, and is never left out. */
		if (found->n == sizeof(found->sp) / sizeof(found->sp[0])) {
			found->n--;
			found->complete = false;
		}
		found->sp[found->n++] = sp - RED_ZONE;
	}
}

/* Find what was interrupted by the handlers that run on the signal stack above @sp. */
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
			sp += n - (frame - 8);	/* a frame may lie in two pieces */
	}
	found->complete &= found->n != 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The scan                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static void scan_part(struct tri_thread *t, struct tri_thread *to, uintptr_t lo, uintptr_t hi,
		      bool all)
{
	tri_scan_later(to, lo, hi, all, true);
	tri_scan_fake_frames(to, t->fake_stack, lo, hi, all);
}

/* Scan from @sp up to the first page that can't be read, or to the arena. */
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

/** The lowest address of a stack that grows, of which @lo is the lowest that was seen so far. */
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

/* The stack that @t has switched to; NULL: it is on the one that it was started on. */
static const struct tri_stack *other_stack(const struct tri_thread *t)
{
	return t->stack != t->own ? t->stack : NULL;
}

/* Whether the thread is between tri_stack_switch() and the switch. */
static bool is_on_left(const struct tri_thread *t, uintptr_t sp)
{
	return t->left && within(t->left->lo, t->left->hi, sp);
}

/*
 * Scan from @sp up, whatever stack that is on.  Returns whether it is on the stack that @t has
 * noted.
 */
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
	if (is_on_left(t, sp))
		scan_part(t, to, sp, t->left->hi, all);
	scan_unbounded(t, to, sp, all);
	return false;
}

/*
 * From where up to scan stack @s, which the thread has switched to and is not on, as far as it can
 * be seen.  @yet_to_come: it is still on the stack that it is about to leave.  Of a stack that
 * grows, which may be large, the part that was in use when it was left is enough then.
 */
static uintptr_t unmet_from(const struct tri_stack *s, bool yet_to_come)
{
	return yet_to_come && s->shrinks && s->sp ? s->sp : s->lo;
}

/**
 * Scan all stacks that @t is on, from @sp up, and its thread-local variables.  @t stands still: it
 * is the calling thread, or blocked.  Stacks that it has left by tri_stack_switch() are not its
 * own any more.
 */
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all)
{
	struct interrupted found = { { sp }, 1, true };
	const struct tri_stack *other = other_stack(t);
	bool met = false, on_left, on_signal_stack;
	unsigned int i;

	if (t == to)
		tri_stack_note(t);
	on_signal_stack = within(t->signal_lo, t->signal_hi, sp);
	if (on_signal_stack) {
		scan_part(t, to, sp > t->signal_lo ? sp : t->signal_lo, t->signal_hi, all);
		find_interrupted(t, to, sp, &found);
	}
	on_left = t->left && !found.complete;
	for (i = 0; i < found.n; i++) {
		met |= scan_from(t, to, found.sp[i], all);
		on_left |= is_on_left(t, found.sp[i]);
	}
	/* Pairs with shrink() in coroutine.c, which reads it when all have answered. */
	if (on_left)
		tri_write(&t->left->on_it, tri_g.cycle);
	met &= found.complete;
	if (other && !met) {
		tri_scan_frame(to, (uintptr_t)other->regs, (uintptr_t)(other->regs + 6), all);
		scan_part(t, to, unmet_from(other, on_left && found.complete), other->hi, all);
	}
	if (other ? !t->own : !met)
		scan_own_stack(t, to, all);
	tri_tls_scan(t, to, all);
	tri_scan_now(to, all);
	if (other && other->shrinks && t == to && !all && !on_signal_stack && sp >= other->lo &&
	    sp < other->hi)
		tri_stack_shrink_running(t, other, sp);
}

/** Report a long scan of a stack without a known end, after which the program can do better. */
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
