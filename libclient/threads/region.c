// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * region.c - blocking regions: the agent answers for a thread that waits for something else
 *
 * One word, t->blocked, says whether the agent may: RUNNING, BLOCKED, or HELD while the agent reads
 * the thread's stack.  It also says how often the thread has begun or ended a region.  The agent
 * changes it from BLOCKED to HELD and back, and the thread does everything else.
 *
 *	begin	1. The inline paths are led into the library, by the region's byte of
 *		   tri__tls.barrier and .attention, and by an empty cache.
 *		2. Registers and stack pointer are saved.
 *		3. RUNNING becomes BLOCKED, if no region has begun or ended since 1.  Else all is
 *		   repeated from 1 on.
 *	end	BLOCKED becomes RUNNING with a new number; so does RUNNING, if 3 has not come yet.
 *		Then 1 is undone.  While the word is HELD the thread waits.
 *
 * A handler of the program may interrupt both anywhere, do anything, and never return.  Every
 * function of the library first ends the region that it finds its thread in.  The byte of 1, which
 * is set before and after 3, says that there is one.  So the agent never answers for a thread that
 * has been in the library since the region began.  If the program jumps out of a region, the
 * region is ended by the next call of the library in the same way, and by the functions that jump
 * (blocking.c).  What runs in between must not load pointers, which is the only thing that the
 * library can't see.
 *
 * A thread that comes out of a region answers what was asked of it in the handler of the handshake
 * signal, which it sends to itself.  Nothing interrupts that handler, and no jump can leave it.
 *
 * Regions are not counted.  A region that begins inside another one ends that.  The end of a region
 * that is over does nothing.
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
 * If the agent takes longer than this to read a stack, or a stop lasts longer, something is wrong,
 * and the cycle is void.
 */
#define PATIENCE_NS 60000000000ull

static struct tri__cache *empty(unsigned int why)
{
	return why ? &tri_empty_caches[why - 1] : NULL;
}

/* Why the inline path of allocation leads into the library: TRI_DIVERTED_*; 0: it does not. */
static unsigned int why_diverted(const struct tri__cache *caches)
{
	size_t i = (size_t)(caches - tri_empty_caches);

	return caches >= tri_empty_caches && i < TRI_DIVERTED_BOTH ? (unsigned int)i + 1 : 0;
}

/**
 * Add or remove a reason for the inline path of allocation to find nothing.  The agent does so
 * with TRI_DIVERTED_AGENT, under list_lock, and the thread with TRI_DIVERTED_REGION.  @open: the
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

/* Wait until t->blocked is not HELD any more, but not for too long.  Returns the word. */
static uint32_t wait_held(struct tri_thread *t)
{
	uint64_t began = tri_now_ns();
	uint32_t word;

	while (tri_blocked(word = tri_read_acquire(&t->blocked)) == TRI_BLOCKED_HELD) {
		if (tri_now_ns() - began > PATIENCE_NS) {
			/* What the agent reads from here on may be anything. */
			tri_write(&tri_g.cycle_is_void, 1);
			break;
		}
		tri_futex_wait(&t->blocked, word, 1000000000);
	}
	return word;
}

/** Keep the thread in its region until tri_region_let_go().  False: it is in none.  Agent. */
bool tri_region_hold(struct tri_thread *t)
{
	uint32_t word = tri_read(&t->blocked);

	return tri_blocked(word) == TRI_BLOCKED &&
	       atomic_compare_exchange_strong(&t->blocked, &word, (word & ~3u) | TRI_BLOCKED_HELD);
}

/** Undo tri_region_hold().  The thread may have gone on meanwhile: see wait_held().  Agent. */
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
		/*
		 * Also an acquire: pairs with tri_region_let_go(), after the agent read our stack.
		 */
	} while (!atomic_compare_exchange_strong(&t->blocked, &word,
						 tri_next_region(word)));
	tri_divert(&tri__tls, t->caches, 0, TRI_DIVERTED_REGION);
	mark_region(false);
	if (unlikely(tri_read(&t->pending)) && !t->depth)
		tri_signal_self(t);
	tri_check_region_over(t);
}

/*
 * From now on the agent answers for this thread.  The stack stays as it is from @sp up.  At most 64
 * words from @from up to @sp, which will not stay, are saved.
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
 * This function's own frame is gone when it returns.  It may hold what the caller had in
 * registers, so it is copied.  The caller's frame stays.
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
