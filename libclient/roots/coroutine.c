// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * coroutine.c - stacks that threads leave and come back to
 *
 * A program that switches stacks by itself says so just before each switch.  The rules
 * (Documentation/design/guest.md, "Stacks that threads leave"):
 *
 *  1. Each stack is scanned once in a cycle, whichever threads run on it.  A stack that a thread
 *     runs on is RUNNING, and counts as scanned as soon as that thread has answered.  A stack that
 *     nobody runs on is SUSPENDED, or SCANNED in this cycle, or CLAIMED while the agent scans it.
 *  2. The agent scans suspended stacks when all threads have answered.  A thread that has answered
 *     leaves its stack as SCANNED.  One that has not answered leaves its stack as SUSPENDED,
 *     whatever it was before.
 *  3. A thread that has answered and switches to a stack that is not SCANNED scans it first.  If
 *     the agent has just claimed that stack, the thread takes it all the same, so that it does not
 *     wait.  When the agent is done with a stack that is CLAIMED no longer, it leaves the state.
 *  4. A stack that is unregistered while barriers are on is scanned.  The reason is the same for
 *     which a store shades the value that it overwrites.
 *
 *  5. The agent gives the unused memory of a stack back (stack_memory.c) in the same walk, when it
 *     has scanned the stack.  Meanwhile the stack is SHRINKING, and a thread that wants to switch
 *     to it waits.  Only a stack that the agent has found SUSPENDED, and on which no thread was
 *     when it answered, can be SHRINKING: tri_stack_switch() says that a thread is about to leave a
 *     stack, and not that it has left.  That thread was not black when it left the stack as
 *     SUSPENDED.  It has answered since then, and either it was on its new stack, or the old one's
 *     @on_it says that it was not.
 *
 * While no barrier is on, a switch consists of plain loads and stores inside the library.  The
 * fence of H1 and the wait after it (design/barrier.md) order them: when both are done, the agent
 * sees all that earlier switches have stored, and every later switch sees that barriers are on and
 * uses atomic instructions.
 *
 * Descriptors are never unmapped.  The agent reads them without a lock.  It claims a descriptor,
 * copies it, and uses the copy if the descriptor is still claimed after that.
 */
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "coroutine.h"
#include "../base/lock.h"
#include "scan.h"
#include "stack.h"
#include "stack_memory.h"
#include "../base/state.h"

#define CHUNK_STACKS 127

struct chunk {
	struct chunk *next;
	struct tri_stack stack[CHUNK_STACKS];
};

/* For free_stacks and for adding chunks.  Its holder is inside, has list_lock, or is the agent. */
static struct tri_lock lock;
static struct chunk *_Atomic chunks;
static struct tri_stack *free_stacks;

/* In a forked child: what its thread had in the parent. */
static struct {
	struct tri__tls *tls;
	struct tri_stack *own, *stack;
} inherited;

/** Take a free descriptor.  NULL: there is no memory.  Called inside. */
struct tri_stack *tri_coroutine_new(void)
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
		/* Pairs with the acquire in FOR_EACH(). */
		tri_write_release(&chunks, c);
	}
	s = free_stacks;
	free_stacks = s->next_free;
	tri_unlock(&lock);
	return s;
}

/** Give back a descriptor, whose state is TRI_STACK_FREE already. */
void tri_coroutine_put(struct tri_stack *s)
{
	tri_lock(&lock);
	s->next_free = free_stacks;
	free_stacks = s;
	tri_unlock(&lock);
}

/** The state of @s, when the agent is done with giving its memory back.  Called inside. */
uint32_t tri_coroutine_state(struct tri_stack *s)
{
	uint32_t state;

	/* Acquire: pairs with the release in shrink(). */
	while ((state = tri_read_acquire(&s->state)) == TRI_STACK_SHRINKING) {
		TRI_POINT("coroutine.waits");
		tri_futex_wait(&s->state, TRI_STACK_SHRINKING, -1);
	}
	return state;
}

#define FOR_EACH(c, s)								\
	for (c = tri_read_acquire(&chunks); c; c = c->next)			\
		for (s = c->stack; s < c->stack + CHUNK_STACKS; s++)

/* ------------------------------------------------------------------------------------------ */
/* Scans                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/**
 * Scan a stack that nobody runs on, from where it was left upwards.  If that is not known, all of
 * the stack is scanned.
 */
void tri_coroutine_scan_left(const struct tri_stack *s, struct tri_thread *to, bool all)
{
	uintptr_t lo = s->sp ? s->sp : s->grows ? tri_stack_lowest(s->lo) : s->lo;

	tri_scan_frame(to, (uintptr_t)s->regs, (uintptr_t)(s->regs + 6), all);
	tri_scan_foreign(to, lo, s->hi, all, true);
	tri_scan_fake_frames(to, s->fake_stack, (uintptr_t)s->regs, (uintptr_t)(s->regs + 6), all);
	tri_scan_fake_frames(to, s->fake_stack, lo, s->hi, all);
}

/*
 * The agent has scanned @s, of which it has a copy in @left, and may give unused memory back.
 * Whoever takes the stack before that has the stack, and its memory stays.
 */
static void shrink(struct tri_stack *s, const struct tri_stack *left, struct tri_thread *to)
{
	uintptr_t end = tri_stack_unused_end(left->sp);
	uint32_t state = TRI_STACK_CLAIMED;

	if (!left->sp || tri_read(&s->on_it) == tri_g.cycle || tri_read(&tri_g.cycle_is_void) ||
	    !tri_stack_wants_to_shrink(to, left->lo, left->hi, left->sp, end) ||
	    !atomic_compare_exchange_strong(&s->state, &state, TRI_STACK_SHRINKING))
		return;
	TRI_POINT("coroutine.shrinks");
	tri_stack_give_back(left->lo, end);
	/* Release: pairs with the acquire in tri_coroutine_state(). */
	tri_write_release(&s->state, TRI_STACK_SCANNED);
	tri_futex_wake(&s->state);
}

/* The agent calls this when all threads have answered, or with @all when all are stopped. */
void tri_coroutines_scan(struct tri_thread *to, bool all)
{
	struct tri_stack *s, copy;
	struct chunk *c;

	FOR_EACH(c, s) {
		uint32_t state = tri_read_acquire(&s->state);

		if (all && state >= TRI_STACK_SUSPENDED)
			tri_coroutine_scan_left(s, to, all);
		if (all || state != TRI_STACK_SUSPENDED ||
		    !atomic_compare_exchange_strong(&s->state, &state, TRI_STACK_CLAIMED))
			continue;
		copy = *s;
		atomic_thread_fence(memory_order_acquire);
		/*
		 * If it is claimed no longer, a thread has switched to it or has unregistered it,
		 * and has scanned it first.
		 */
		if (tri_read(&s->state) != TRI_STACK_CLAIMED)
			continue;
		TRI_POINT("coroutine.claimed");
		tri_coroutine_scan_left(&copy, to, all);
		if (copy.shrinks)
			shrink(s, &copy, to);
		state = TRI_STACK_CLAIMED;
		atomic_compare_exchange_strong(&s->state, &state, TRI_STACK_SCANNED);
	}
}

/*
 * The agent calls this when no barrier is on, and no thread is in a switch that began while one
 * was on.
 */
void tri_coroutines_forget_scans(void)
{
	struct tri_stack *s;
	struct chunk *c;

	FOR_EACH(c, s) {
		uint32_t state = TRI_STACK_SCANNED;

		if (tri_read(&s->state) == TRI_STACK_SCANNED)
			atomic_compare_exchange_strong(&s->state, &state, TRI_STACK_SUSPENDED);
	}
}

/* ------------------------------------------------------------------------------------------ */
/* Threads                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* Find the registered stack that @sp lies in.  NULL: there is none. */
static struct tri_stack *stack_at(uintptr_t sp)
{
	struct tri_stack *s;
	struct chunk *c;

	FOR_EACH(c, s)
		if (tri_read_acquire(&s->state) != TRI_STACK_FREE && !s->owner && sp >= s->lo &&
		    sp < s->hi)
			return s;
	return NULL;
}

/**
 * Find or make the descriptor of the stack that @t was started on.  NULL: there is no memory.
 * @here: @t runs on that stack now.  @t is inside, or is not in the list yet.
 */
struct tri_stack *tri_coroutine_own(struct tri_thread *t, bool here)
{
	struct tri_stack *s = t->own;

	if (s)
		return s;
	s = tri_coroutine_new();
	if (!s)
		return NULL;
	s->owner = t;
	s->lo = t->stack_lo;
	s->hi = t->stack_hi;
	s->grows = t->stack_grows;
	s->shrinks = false;
	s->sp = 0;
	s->fake_stack = NULL;
	memset(s->regs, 0, sizeof(s->regs));
	tri_write_release(&s->state, here ? TRI_STACK_RUNNING : TRI_STACK_SUSPENDED);
	t->own = s;
	return s;
}

/*
 * Called for a thread that is about to attach and has @sp as its stack pointer.  If it runs on a
 * registered stack, that stack becomes RUNNING.
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
		tri_write_release(&s->state, TRI_STACK_RUNNING);
		t->stack = s;
	}
}

/* Release the stacks of @t, which detaches or has ended.  Called with list_lock. */
void tri_coroutine_detach(struct tri_thread *t)
{
	struct tri_stack *s = t->stack;

	/* A registered stack stays until the program unregisters it. */
	if (s && s != t->own) {
		s->sp = 0;
		tri_write_release(&s->state, TRI_STACK_SUSPENDED);
	}
	if (t->own) {
		tri_write_release(&t->own->state, TRI_STACK_FREE);
		tri_coroutine_put(t->own);
	}
	t->stack = t->own = NULL;
}

/*
 * Called in a forked child.  Its other threads do not exist here.  The descriptors of the stacks
 * that these were started on become free.  Registered stacks that they ran on become suspended, so
 * that the program may unregister them.  The record of the child's own thread stays if the heap was
 * @copied.  If not, the record will be forgotten, and `inherited` keeps its stacks.
 */
void tri_coroutines_reset(bool copied)
{
	const struct tri_thread *t = tri__tls.thread;
	struct tri_stack *s;
	struct chunk *c;

	memset(&lock, 0, sizeof(lock));
	tri_stack_memory_reset();
	inherited.tls = t ? &tri__tls : NULL;
	inherited.own = t ? t->own : NULL;
	inherited.stack = t ? t->stack : NULL;
	free_stacks = NULL;
	FOR_EACH(c, s) {
		uint32_t state = tri_read(&s->state);

		if (s == inherited.own || s == inherited.stack) {
			tri_write(&s->state, s == inherited.stack ? TRI_STACK_RUNNING :
								    TRI_STACK_SUSPENDED);
			continue;
		}
		if (state == TRI_STACK_RUNNING)
			s->sp = 0;
		tri_write(&s->state, state == TRI_STACK_FREE || s->owner ? TRI_STACK_FREE :
									   TRI_STACK_SUSPENDED);
		if (tri_read(&s->state) == TRI_STACK_FREE) {
			s->next_free = free_stacks;
			free_stacks = s;
		}
	}
	if (copied)
		inherited.tls = NULL;
}
