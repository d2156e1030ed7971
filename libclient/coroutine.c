// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * coroutine.c - stacks that threads leave and come back to
 *
 * A program that switches stacks by itself says so just before each switch.  The rules
 * (Documentation/design/guest.md, "Stacks that threads leave"):
 *
 *  1. Being scanned belongs to a stack, not to a thread.  A stack that nobody runs on is
 *     SUSPENDED, or SCANNED in this cycle, or CLAIMED: the agent is at it.  The one that a thread
 *     runs on is RUNNING, and counts as scanned when the thread does.
 *  2. The agent scans suspended stacks when all threads have answered.  A thread that has not
 *     answered leaves its stack as SUSPENDED whatever it was before, one that has leaves it as
 *     SCANNED.
 *  3. A thread that has answered and switches to a stack that is not SCANNED scans it first.  If
 *     the agent has just claimed it, it takes the claim over: nobody waits.  The agent, done with
 *     a stack that is CLAIMED no more, leaves it as it is.
 *  4. A stack that is unregistered while barriers are on is scanned, for the same reason for which
 *     a store shades what it overwrites.
 *
 * While no barrier is on a switch is some plain loads and stores inside the library.  H1's fence
 * and wait (design/barrier.md) order them: after these every thread sees that barriers are on, and
 * uses atomic instructions, or has not begun, and the agent sees what was done before.
 *
 * Descriptors are never unmapped.  The agent takes no lock to look at them: it copies what a
 * descriptor says after it has claimed it, and believes that if the claim holds still.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../core/heap/layout.h"
#include "../core/system/point.h"
#include "attributes.h"
#include "coroutine.h"
#include "error.h"
#include "inside.h"
#include "lock.h"
#include "scan.h"
#include "stack.h"
#include "state.h"
#include "tricolor.h"

enum {
	FREE,
	RUNNING,
	SUSPENDED,
	CLAIMED,
	SCANNED,
};

#define CHUNK_STACKS 127

struct chunk {
	struct chunk *next;
	struct tri_stack stack[CHUNK_STACKS];
};

/* Chunks being added, free_stacks.  Who has it is inside, or has list_lock, or is the agent. */
static struct tri_lock lock;
static struct chunk *_Atomic chunks;
static struct tri_stack *free_stacks;

/* In a forked child: what its thread had when it called fork(). */
static struct {
	struct tri__tls *tls;
	struct tri_stack *own, *stack;
} inherited;

/* Inside.  A FREE descriptor, or NULL. */
static struct tri_stack *new_stack(void)
{
	struct tri_stack *s;
	struct chunk *c;
	int i;

	tri_lock(&lock);
	if (!free_stacks) {
		c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (c == MAP_FAILED) {
			tri_unlock(&lock);
			return NULL;
		}
		for (i = 0; i < CHUNK_STACKS; i++) {
			c->stack[i].next_free = free_stacks;
			free_stacks = &c->stack[i];
		}
		c->next = tri_read(&chunks);
		/* pairs with FOR_EACH() */
		tri_write_release(&chunks, c);
	}
	s = free_stacks;
	free_stacks = s->next_free;
	tri_unlock(&lock);
	return s;
}

/* It is FREE already. */
static void put_stack(struct tri_stack *s)
{
	tri_lock(&lock);
	s->next_free = free_stacks;
	free_stacks = s;
	tri_unlock(&lock);
}

#define FOR_EACH(c, s)								\
	for (c = tri_read_acquire(&chunks); c; c = c->next)			\
		for (s = c->stack; s < c->stack + CHUNK_STACKS; s++)

/* ------------------------------------------------------------------------------------------ */
/* Scans                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool has_answered(const struct tri_thread *t)
{
	return tri_read(&t->marking) && tri_read(&t->scanned_cycle) == tri_g.cycle;
}

/* What nobody runs on: from where it was left, or, where that is not known, the whole of it. */
static void scan_left(const struct tri_stack *s, struct tri_thread *to, bool all)
{
	uintptr_t lo = s->sp ? s->sp : s->grows ? tri_stack_lowest(s->lo) : s->lo;

	tri_scan_frame(to, (uintptr_t)s->regs, (uintptr_t)(s->regs + 6), all);
	tri_scan_foreign(to, lo, s->hi, all, true);
	tri_scan_fake_frames(to, s->fake_stack, (uintptr_t)s->regs, (uintptr_t)(s->regs + 6), all);
	tri_scan_fake_frames(to, s->fake_stack, lo, s->hi, all);
}

/* Agent, when all threads have answered, or, with @all, are stopped. */
void tri_coroutines_scan(struct tri_thread *to, bool all)
{
	struct tri_stack *s, copy;
	struct chunk *c;

	FOR_EACH(c, s) {
		uint32_t state = tri_read_acquire(&s->state);

		if (all && state >= SUSPENDED)
			scan_left(s, to, all);
		if (all || state != SUSPENDED ||
		    !atomic_compare_exchange_strong(&s->state, &state, CLAIMED))
			continue;
		copy = *s;
		atomic_thread_fence(memory_order_acquire);
		/*
		 * Else a thread is on it, and has scanned it, or it is gone, and was scanned then.
		 */
		if (tri_read(&s->state) != CLAIMED)
			continue;
		TRI_POINT("coroutine.claimed");
		scan_left(&copy, to, all);
		state = CLAIMED;
		atomic_compare_exchange_strong(&s->state, &state, SCANNED);
	}
}

/* Agent, when no barrier is on and no thread is in a switch that began while one was. */
void tri_coroutines_forget_scans(void)
{
	struct tri_stack *s;
	struct chunk *c;

	FOR_EACH(c, s) {
		uint32_t state = SCANNED;

		if (tri_read(&s->state) == SCANNED)
			atomic_compare_exchange_strong(&s->state, &state, SUSPENDED);
	}
}

/* ------------------------------------------------------------------------------------------ */
/* Threads                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* A registered stack that @sp is on. */
static struct tri_stack *stack_at(uintptr_t sp)
{
	struct tri_stack *s;
	struct chunk *c;

	FOR_EACH(c, s)
		if (tri_read_acquire(&s->state) != FREE && !s->owner && sp >= s->lo && sp < s->hi)
			return s;
	return NULL;
}

/*
 * The descriptor of the stack that @t was started on; NULL: no memory.  @here: @t runs on it.
 * Inside, or not in the list yet.
 */
static struct tri_stack *own_stack(struct tri_thread *t, bool here)
{
	struct tri_stack *s = t->own;

	if (s)
		return s;
	s = new_stack();
	if (!s)
		return NULL;
	s->owner = t;
	s->lo = t->stack_lo;
	s->hi = t->stack_hi;
	s->grows = t->stack_grows;
	s->sp = 0;
	s->fake_stack = NULL;
	memset(s->regs, 0, sizeof(s->regs));
	tri_write_release(&s->state, here ? RUNNING : SUSPENDED);
	t->own = s;
	return s;
}

/*
 * A thread that is about to attach, with @sp as its stack pointer: it may run on a registered
 * stack.
 */
void tri_coroutine_attach(struct tri_thread *t, uintptr_t sp)
{
	struct tri_stack *s;

	if (inherited.tls == &tri__tls) {
		t->own = inherited.own;
		t->stack = inherited.stack;
		inherited.tls = NULL;
		if (t->own)
			t->own->owner = t;
		return;
	}
	if (!tri_read(&chunks) || tri_stack_is_own(t, sp))
		return;
	s = stack_at(sp);
	if (s) {
		tri_write_release(&s->state, RUNNING);
		t->stack = s;
	}
}

/* @t is not there any more.  list_lock */
void tri_coroutine_detach(struct tri_thread *t)
{
	struct tri_stack *s = t->stack;

	/* The program says when that stack goes. */
	if (s && s != t->own) {
		s->sp = 0;
		tri_write_release(&s->state, SUSPENDED);
	}
	if (t->own) {
		tri_write_release(&t->own->state, FREE);
		put_stack(t->own);
	}
	t->stack = t->own = NULL;
}

/*
 * A forked child, before its thread is forgotten, or with its heap @copied: then it stays.  Other
 * threads do not exist in it, and their own stacks are nobody's; stacks that they ran on may be
 * unregistered.
 */
void tri_coroutines_reset(bool copied)
{
	const struct tri_thread *t = tri__tls.thread;
	struct tri_stack *s;
	struct chunk *c;

	memset(&lock, 0, sizeof(lock));
	inherited.tls = t ? &tri__tls : NULL;
	inherited.own = t ? t->own : NULL;
	inherited.stack = t ? t->stack : NULL;
	free_stacks = NULL;
	FOR_EACH(c, s) {
		uint32_t state = tri_read(&s->state);

		if (s == inherited.own || s == inherited.stack) {
			tri_write(&s->state, s == inherited.stack ? RUNNING : SUSPENDED);
			continue;
		}
		if (state == RUNNING)
			s->sp = 0;
		tri_write(&s->state, state == FREE || s->owner ? FREE : SUSPENDED);
		if (tri_read(&s->state) == FREE) {
			s->next_free = free_stacks;
			free_stacks = s;
		}
	}
	if (copied)
		inherited.tls = NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* The program's side                                                                         */
/* ------------------------------------------------------------------------------------------ */

TRI_EXPORT tri_stack *tri_stack_register(void *low, size_t len)
{
	uintptr_t lo = ((uintptr_t)low + 7) & ~7ul, hi = ((uintptr_t)low + len) & ~7ul;
	struct tri_thread *t;
	struct tri_stack *s;
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
	s = new_stack();
	if (!s) {
		tri_leave(t);
		errno = -tri_fail(ENOMEM, "tricolor: no memory for the descriptor of a stack");
		return NULL;
	}
	s->owner = NULL;
	s->lo = lo;
	s->hi = hi;
	s->grows = false;
	s->sp = 0;
	s->fake_stack = NULL;
	memset(s->regs, 0, sizeof(s->regs));
	/*
	 * A thread that has been scanned may have put something there for the coroutine to begin
	 * with.
	 */
	scan = has_answered(t);
	if (scan)
		scan_left(s, t, false);
	tri_write_release(&s->state, scan ? SCANNED : SUSPENDED);
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
	state = tri_read(&s->state);
	do {
		if (state == FREE || s->owner || state == RUNNING) {
			tri_leave_any(t);
			return state == RUNNING && !s->owner ?
				tri_fail(EBUSY, "tricolor: a thread runs on the stack that is to be "
					 "unregistered") :
				tri_fail(EINVAL, "tricolor: no stack that tri_stack_register() made");
		}
		/*
		 * What is on it is deleted, as by stores: the program may still hold what it had of
		 * it.
		 */
		if (tri_read(&t->marking) && state != SCANNED)
			scan_left(s, t, false);
	} while (!atomic_compare_exchange_strong(&s->state, &state, FREE));
	put_stack(s);
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
		t->stack = own_stack(t, true);
	}
	s = t->stack;
	tri_leave(t);
	if (!s)
		errno = -tri_fail(ENOMEM, "tricolor: no memory for the descriptor of a stack");
	return s;
}

/*
 * Inside.  What the thread leaves behind; @regs: its registers, below the frame of whoever
 * switches.
 */
static inline void leave_stack(struct tri_thread *t, struct tri_stack *from, const uintptr_t *regs,
			       uint32_t state)
{
	uintptr_t sp = (uintptr_t)(regs + 6);
	unsigned int i;

	/*
	 * Word by word, as they were pushed: what is stored so and loaded in larger pieces makes a
	 * CPU wait.
	 */
	for (i = 0; i < 6; i++)
		((volatile uintptr_t *)from->regs)[i] = regs[i];
	/* One who is not where he said that he was: all of it. */
	from->sp = sp >= from->lo && sp < from->hi ? sp : 0;
	if (unlikely(!from->sp && from->grows && tri_stack_is_own(t, sp))) {
		from->lo = t->stack_lo;
		from->sp = sp;
	}
	if (unlikely(tri_g.fake_stacks))
		from->fake_stack = tri_fake_stack();
	t->left_lo = from->lo;
	t->left_hi = from->hi;
	tri_write_release(&from->state, state);
}

static int refuse(struct tri_thread *t, int err, const char *why)
{
	tri_leave(t);
	return tri_fail(err, "tricolor: can't switch to another stack: %s", why);
}

/* While barriers are on.  Inside. */
static int switch_marking(struct tri_thread *t, struct tri_stack *from, struct tri_stack *to,
			  const uintptr_t *regs)
{
	uint32_t state = tri_read(&to->state);

	do {
		if (state == FREE || state == RUNNING)
			return refuse(t, EBUSY, "a thread runs on it, or it is not registered");
	} while (!atomic_compare_exchange_weak(&to->state, &state, RUNNING));
	TRI_POINT("coroutine.taken");
	if (has_answered(t) && state != SCANNED)
		scan_left(to, t, false);
	t->stack = to;
	leave_stack(t, from, regs, has_answered(t) ? SCANNED : SUSPENDED);
	tri_leave(t);
	return 0;
}

/* What is unusual about a switch; 0: go on.  Inside, and if it is not 0, no longer. */
static int prepare(struct tri_thread *t, struct tri_stack *to, uintptr_t sp)
{
	if (t->depth != 1)
		return refuse(t, EBUSY, "this handler interrupted the library, which would have to "
			      "wait for it");
	if (!t->stack) {
		struct tri_stack *own = own_stack(t, tri_stack_is_own(t, sp));

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
		tri_leave(t);
		return 0;
	}
	if (unlikely(tri_read(&t->pending))) {
		/* Answered here it has one stack to scan, and after the switch two. */
		tri_leave(t);
		tri_enter();
	}
	if (unlikely(tri_read(&t->marking)))
		return switch_marking(t, from, to, regs);
	state = tri_read(&to->state);
	if (unlikely(state == FREE || state == RUNNING))
		return refuse(t, EBUSY, "a thread runs on it, or it is not registered");
	tri_write(&to->state, RUNNING);
	t->stack = to;
	leave_stack(t, from, regs, SUSPENDED);
	tri_leave(t);
	return 0;
}

/*
 * What a switcher will save in a place that only it knows are the callee-saved registers: they are
 * pushed here and copied by tri_stack_switch_at().
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
