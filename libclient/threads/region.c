// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * region.c - blocking regions: the agent answers for a thread that waits for something else
 *
 * One word, t->blocked, says whether the agent may: RUNNING, BLOCKED, or HELD while the agent reads
 * the thread's stack, and how often the thread has begun or ended a region.  The agent goes from
 * BLOCKED to HELD and back, everything else is the thread's.
 *
 *	begin	1. The inline paths are led into the library (the region's byte of tri__tls.barrier
 *		and
 *		   .attention, an empty cache).
 *		2. Registers and stack pointer are saved.
 *		3. RUNNING becomes BLOCKED, if nothing has begun or ended since 1; else again from
 *		   1.
 *	end	BLOCKED, or RUNNING if 3 has not come yet, becomes RUNNING with a new number; then 1
 *		is undone.  While HELD it waits.
 *
 * A handler of the program's may interrupt either anywhere, do anything, and never come back.
 * Whoever enters the library, by whatever function, first ends the region that it finds the thread
 * in (the byte of 1 tells, which is there before and after 3); so the agent never answers for a
 * thread that has been in the library since the region began.  A region that a jump has left is
 * ended by the next entry just so, and by the functions that jump (blocking.c): what runs in
 * between must not load pointers, which is the only thing that the library can't see.
 *
 * What is asked of a thread that comes out of a region it answers in the handler of the handshake
 * signal, which it sends to itself: nothing interrupts that, and a jump can't leave it part-way.
 *
 * There is no count of regions.  One in another one ends that; the end of one that is over does
 * nothing.
 */
#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../base/attributes.h"
#include "blocking.h"
#include "../checker/checker.h"
#include "../base/lock.h"
#include "region.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "thread.h"
#include "tricolor.h"

/*
 * The agent reads a stack, or a stop lasts, longer than that: something is wrong, and the cycle
 * void.
 */
#define PATIENCE_NS 60000000000ull

static struct tri__cache *empty(unsigned int why)
{
	return why ? &tri_empty_caches[why - 1] : NULL;
}

/* Why the inline path of allocation leads into the library; 0: it does not. */
static unsigned int why_diverted(const struct tri__cache *caches)
{
	size_t i = (size_t)(caches - tri_empty_caches);

	return caches >= tri_empty_caches && i < TRI_DIVERTED_BOTH ? (unsigned int)i + 1 : 0;
}

/**
 * One more reason for the inline path of allocation to find nothing, or one less:
 * TRI_DIVERTED_AGENT is the agent's, under list_lock, TRI_DIVERTED_REGION the thread's.  @open: the
 * caches when no reason is left.  Async-signal-safe.
 */
void tri_divert(struct tri__tls *tls, struct tri__cache *open, unsigned int add, unsigned int take)
{
	struct tri__cache *was = __atomic_load_n(&tls->caches, __ATOMIC_RELAXED), *is;
	unsigned int why;

	do {
		why = (why_diverted(was) | add) & ~take;
		is = why ? empty(why) : open;
		/* Release: pairs with the loads of the inline path. */
	} while (!__atomic_compare_exchange_n(&tls->caches, &was, is, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
}

static void mark_region(bool on)
{
	tri_flag_set(&tri__tls.barrier, TRI_FLAG_REGION, on);
	tri_flag_set(&tri__tls.attention, TRI_FLAG_REGION, on);
}

/* HELD is over, or has lasted too long.  Returns t->blocked. */
static uint32_t wait_held(struct tri_thread *t)
{
	uint64_t began = tri_now_ns();
	uint32_t word;

	while (tri_blocked(word = tri_read_acquire(&t->blocked)) == TRI_BLOCKED_HELD) {
		if (tri_now_ns() - began > PATIENCE_NS) {
			/*
			 * What the agent reads from here on may be anything: the cycle is given up.
			 */
			tri_write(&tri_g.cycle_is_void, 1);
			break;
		}
		tri_futex_wait(&t->blocked, word, 1000000000);
	}
	return word;
}

/** Agent: the thread stays in its region until tri_region_let_go().  False: it is in none. */
bool tri_region_hold(struct tri_thread *t)
{
	uint32_t word = tri_read(&t->blocked);

	return tri_blocked(word) == TRI_BLOCKED &&
	       atomic_compare_exchange_strong(&t->blocked, &word, (word & ~3u) | TRI_BLOCKED_HELD);
}

/** Agent.  The thread may have lost patience: see wait_held(). */
void tri_region_let_go(struct tri_thread *t)
{
	uint32_t word = tri_read(&t->blocked);

	if (tri_blocked(word) == TRI_BLOCKED_HELD)
		atomic_compare_exchange_strong(&t->blocked, &word, (word & ~3u) | TRI_BLOCKED);
	tri_futex_wake(&t->blocked);
}

/** End the region that the calling thread is in, if it is in one. */
void tri_region_end(struct tri_thread *t)
{
	uint32_t word = tri_read(&t->blocked);

	do {
		if (tri_blocked(word) == TRI_BLOCKED_HELD)
			word = wait_held(t);
		/* Acquire: pairs with the agent's let_go(), when it has read our stack. */
	} while (!atomic_compare_exchange_strong(&t->blocked, &word,
						 tri_next_region(word)));
	tri_divert(&tri__tls, t->caches, 0, TRI_DIVERTED_REGION);
	mark_region(false);
	if (unlikely(tri_read(&t->pending)) && !t->depth)
		tri_signal_self(t);
	tri_check_region_over(t);
}

/*
 * From here on the agent answers for this thread.  @sp: the stack from here up stays as it is.
 * @from: below @sp, words to remember that will not stay (at most 64).
 */
__attribute__((no_sanitize("address", "thread")))
static void begin(struct tri_thread *t, uintptr_t from, uintptr_t sp)
{
	uint32_t word;

	do {
		const uintptr_t *p = (const uintptr_t *)from;

		if (tri_in_region())
			tri_region_end(t);
		word = tri_read(&t->blocked);
		mark_region(true);
		tri_divert(&tri__tls, t->caches, TRI_DIVERTED_REGION, 0);
		atomic_signal_fence(memory_order_seq_cst);
		t->nsaved = 0;
		for (; (uintptr_t)p < sp && t->nsaved < 64; p++)
			t->saved[t->nsaved++] = *p;
		t->saved_sp = sp;
		tri_stack_note(t);
		/* Also a full fence: either the agent sees this, or we see its request below. */
	} while (tri_blocked(word) != TRI_RUNNING ||
		 !atomic_compare_exchange_strong(&t->blocked, &word,
						 tri_next_region(word) | TRI_BLOCKED));
	if (tri_read(&t->pending)) {
		atomic_fetch_add(&tri_g.answers, 1);
		tri_futex_wake(&tri_g.answers);
	}
}

/*
 * This function's own frame, which may hold what the caller had in registers, is gone when it
 * returns, and so is copied; the caller's stays.
 */
TRI_EXPORT __attribute__((noinline)) void tri_blocking_enter(void)
{
	struct tri_thread *t = tri__tls.thread;
	uintptr_t regs[6], sp = tri_save_registers(regs);

	/* In a handler that interrupted the library the thread is inside, and answers later. */
	if (!t || t->depth)
		return;
	begin(t, sp, (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t));
}

TRI_EXPORT void tri_blocking_exit(void)
{
	struct tri_thread *t = tri__tls.thread;

	if (t && tri_in_region() && !t->depth)
		tri_region_end(t);
}
