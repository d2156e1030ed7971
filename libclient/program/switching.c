// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * switching.c - the functions for programs that switch stacks themselves: see coroutine.c for the
 * rules
 */
#include <errno.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "../roots/coroutine.h"
#include "../base/error.h"
#include "inside.h"
#include "../roots/stack.h"
#include "../roots/stack_memory.h"
#include "../base/state.h"
#include "tricolor.h"

TRI_EXPORT tri_stack *tri_stack_register(void *low, size_t len)
{
	uintptr_t lo = ((uintptr_t)low + 7) & ~7ul, hi = ((uintptr_t)low + len) & ~7ul;
	struct tri_thread *t;
	struct tri_stack *s;
	int shrinks;
	bool scan;

	if (!low || hi <= lo) {
		errno = -tri_fail(EINVAL, "tricolor: %zu bytes at %p can't be a stack; give its lowest "
				  "address and its size",
				  len, low);
		return NULL;
	}
	t = tri_enter();
	if (!t)
		return NULL;
	s = tri_coroutine_new();
	if (!s) {
		tri_leave(t);
		errno = -tri_fail(ENOMEM, "tricolor: no memory for the descriptor of a stack");
		return NULL;
	}
	shrinks = tri_stack_memory_register((uintptr_t)low, s);
	if (shrinks < 0) {
		tri_coroutine_put(s);
		tri_leave(t);
		errno = -tri_fail(-shrinks, "tricolor: the stack that tri_stack_new() made at %p is "
				  "registered already", low);
		return NULL;
	}
	s->shrinks = shrinks;
	tri_write(&s->on_it, 0);
	s->owner = NULL;
	s->lo = lo;
	s->hi = hi;
	s->grows = false;
	/* Most of a stack that grows has no memory, and reading it would give it some. */
	s->sp = shrinks ? tri_stack_begins_at(lo, hi) : 0;
	s->fake_stack = NULL;
	memset(s->regs, 0, sizeof(s->regs));
	/*
	 * If this thread has been scanned in this cycle, it may since have put pointers on the new
	 * stack, for the coroutine to begin with.
	 */
	scan = tri_coroutine_answered(t);
	if (scan)
		tri_coroutine_scan_left(s, t, false);
	tri_write_release(&s->state, scan ? TRI_STACK_SCANNED : TRI_STACK_SUSPENDED);
	tri_leave(t);
	return s;
}

TRI_EXPORT int tri_stack_unregister(tri_stack *s)
{
	struct tri_thread *t;
	uint32_t state;

	if (!s)
		return 0;
	t = tri_enter_any();
	if (!t)
		return -errno;
	do {
		state = tri_coroutine_state(s);
		if (state == TRI_STACK_FREE || s->owner || state == TRI_STACK_RUNNING) {
			tri_leave_any(t);
			return state == TRI_STACK_RUNNING && !s->owner ?
				tri_fail(EBUSY, "tricolor: a thread runs on the stack that is to be "
					 "unregistered") :
				tri_fail(EINVAL, "tricolor: no stack that tri_stack_register() made");
		}
		/*
		 * The stack will be no root any longer.  So the pointers on it are shaded, like
		 * values that a store overwrites: the program may have loaded them.
		 */
		if (tri_read(&t->marking) && state != TRI_STACK_SCANNED)
			tri_coroutine_scan_left(s, t, false);
	} while (!atomic_compare_exchange_strong(&s->state, &state, TRI_STACK_FREE));
	if (s->shrinks)
		tri_stack_memory_unregister(s);
	tri_coroutine_put(s);
	tri_leave_any(t);
	return 0;
}

TRI_EXPORT tri_stack *tri_stack_self(void)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	struct tri_thread *t = tri_enter();
	struct tri_stack *s;

	if (!t)
		return NULL;
	if (!t->stack) {
		if (!tri_stack_is_own(t, sp)) {
			tri_leave(t);
			errno = -tri_fail(EINVAL, "tricolor: this thread runs on a stack that is "
					  "not registered; call tri_stack_self() before it switches");
			return NULL;
		}
		t->stack = tri_coroutine_own(t, true);
	}
	s = t->stack;
	tri_leave(t);
	if (!s)
		errno = -tri_fail(ENOMEM, "tricolor: no memory for the descriptor of a stack");
	return s;
}

/*
 * If the thread is still on the stack that it said it had left, a handler has preempted it between
 * tri_stack_switch() and the switch.  Now it does leave that stack, where there is more than the
 * address tells that was noted then.
 */
static void leave_late(struct tri_thread *t, uintptr_t sp)
{
	struct tri_stack *left = t->left;

	if (left && sp >= left->lo && sp < left->hi)
		left->sp = 0;
}

/* The thread leaves @from, and @sp is not between the bounds that are known of @from. */
static void leave_elsewhere(struct tri_thread *t, struct tri_stack *from, uintptr_t sp)
{
	if (from->grows && tri_stack_is_own(t, sp)) {
		from->lo = t->stack_lo;
		from->sp = sp;
	} else {
		leave_late(t, sp);
	}
}

/*
 * Note in @from how the thread leaves that stack.  @regs: the caller's registers, which lie just
 * below the frame that stays.  Inside.
 */
static inline void leave_stack(struct tri_thread *t, struct tri_stack *from, const uintptr_t *regs,
			       uint32_t state)
{
	uintptr_t sp = (uintptr_t)(regs + 6);
	unsigned int i;

	/*
	 * They are copied word by word, as they were pushed: a CPU stalls when it loads at once
	 * what was just stored in smaller pieces.
	 */
	for (i = 0; i < 6; i++)
		((volatile uintptr_t *)from->regs)[i] = regs[i];
	/* If the thread is on another stack than the program has said, all of @from is scanned. */
	from->sp = sp >= from->lo && sp < from->hi ? sp : 0;
	if (unlikely(!from->sp))
		leave_elsewhere(t, from, sp);
	if (unlikely(tri_g.fake_stacks))
		from->fake_stack = tri_fake_stack();
	t->left = from;
	tri_write_release(&from->state, state);
}

static int refuse(struct tri_thread *t, int err, const char *why)
{
	tri_leave(t);
	return tri_fail(err, "tricolor: can't switch to another stack: %s", why);
}

/* Switch while the thread's barrier is on.  Called inside, returns outside. */
static int switch_marking(struct tri_thread *t, struct tri_stack *from, struct tri_stack *to,
			  const uintptr_t *regs)
{
	uint32_t state;

	do {
		state = tri_coroutine_state(to);
		if (state == TRI_STACK_FREE || state == TRI_STACK_RUNNING)
			return refuse(t, EBUSY, "a thread runs on it, or it is not registered");
	} while (!atomic_compare_exchange_weak(&to->state, &state, TRI_STACK_RUNNING));
	TRI_POINT("coroutine.taken");
	if (tri_coroutine_answered(t) && state != TRI_STACK_SCANNED)
		tri_coroutine_scan_left(to, t, false);
	t->stack = to;
	leave_stack(t, from, regs,
		    tri_coroutine_answered(t) ? TRI_STACK_SCANNED : TRI_STACK_SUSPENDED);
	tri_leave(t);
	return 0;
}

/*
 * Check and prepare a switch that is not the usual one.  Returns 0 inside, or an error outside, if
 * the switch is not allowed.
 */
static int prepare(struct tri_thread *t, struct tri_stack *to, uintptr_t sp)
{
	if (t->depth != 1)
		return refuse(t, EBUSY, "this handler interrupted the library, which would have to "
			      "wait for it");
	if (!t->stack) {
		struct tri_stack *own = tri_coroutine_own(t, tri_stack_is_own(t, sp));

		if (!own)
			return refuse(t, ENOMEM, "no memory for a descriptor");
		t->stack = own;
	}
	if (to->owner && to->owner != t)
		return refuse(t, EINVAL, "it is another thread's own");
	return 0;
}

/* tri_stack_switch(), with the callee-saved registers of its caller at @regs. */
int tri_stack_switch_at(struct tri_stack *to, const uintptr_t *regs) TRI_HIDDEN;

int tri_stack_switch_at(struct tri_stack *to, const uintptr_t *regs)
{
	struct tri_thread *t = tri_enter();
	struct tri_stack *from;
	uint32_t state;
	int err;

	if (unlikely(!t))
		return -errno;
	if (unlikely(!to))
		return refuse(t, EINVAL, "there is none");
	if (unlikely(t->depth != 1 || !t->stack || (to->owner && to->owner != t))) {
		err = prepare(t, to, (uintptr_t)regs);
		if (err)
			return err;
	}
	from = t->stack;
	if (unlikely(from == to)) {
		leave_late(t, (uintptr_t)(regs + 6));
		tri_leave(t);
		return 0;
	}
	if (unlikely(tri_read(&t->pending))) {
		/* An answer before the switch scans one stack, and an answer after it two. */
		tri_leave(t);
		tri_enter();
	}
	if (unlikely(tri_read(&t->marking)))
		return switch_marking(t, from, to, regs);
	state = tri_read(&to->state);
	if (unlikely(state == TRI_STACK_FREE || state == TRI_STACK_RUNNING))
		return refuse(t, EBUSY, "a thread runs on it, or it is not registered");
	tri_write(&to->state, TRI_STACK_RUNNING);
	t->stack = to;
	leave_stack(t, from, regs, TRI_STACK_SUSPENDED);
	tri_leave(t);
	return 0;
}

/*
 * The program's own switch will save the callee-saved registers where the library can't find them.
 * So they are pushed here, and tri_stack_switch_at() copies them.
 */
__asm__(".pushsection .text\n"
	".globl tri_stack_switch\n"
	".type tri_stack_switch, @function\n"
	".p2align 4\n"
	"tri_stack_switch:\n"
	"	.cfi_startproc\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, %rsi\n"
	"	subq $8, %rsp\n"
	"	.cfi_def_cfa_offset 64\n"
	"	call tri_stack_switch_at\n"
	"	addq $56, %rsp\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size tri_stack_switch, .-tri_stack_switch\n"
	".popsection\n");
