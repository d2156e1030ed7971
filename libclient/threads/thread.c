// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * thread.c - the records of attached threads, and the list that they are in
 *
 * All of this happens under list_lock.  A record comes into the list when its thread attaches
 * (attach.c), and then adopts the phase that the agent is in: barrier, colour, generation.
 *
 * A record leaves the list when its thread detaches, or is found to have ended.  Its spans are
 * given back, its buffer is handed to the collector, and then it is taken out, so that a handshake
 * sees either the thread or what it left.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "../roots/shade.h"
#include "../heap/cache.h"
#include "../roots/coroutine.h"
#include "../heap/freed.h"
#include "life.h"
#include "../base/lock.h"
#include "raw_fork.h"
#include "region.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "thread.h"
#include "../roots/tls.h"

static uint64_t slots_used[TRI_SLOTS / 64];	/* list_lock */

/* Give @t a slot in the arena.  Returns 0 or -EAGAIN.  Called with list_lock. */
int tri_slot_take(struct tri_thread *t)
{
	uint32_t i;

	for (i = 0; i < TRI_SLOTS / 64 && !TRI_POINT_FAILS("slot.take"); i++) {
		if (~slots_used[i]) {
			t->slot_index = i * 64 + (uint32_t)__builtin_ctzll(~slots_used[i]);
			slots_used[i] |= 1ull << (t->slot_index & 63);
			t->slot = &tri_g.view.slots[t->slot_index];
			tri_write(&t->slot->buffer, 0);
			if (t->slot_index >= tri_read(&tri_g.view.ctl->slots_top))
				tri_write(&tri_g.view.ctl->slots_top, t->slot_index + 1);
			return 0;
		}
	}
	return -EAGAIN;
}

/* Give back @t's slot.  Called with list_lock. */
void tri_slot_give(struct tri_thread *t)
{
	slots_used[t->slot_index / 64] &= ~(1ull << (t->slot_index & 63));
}

/*
 * Make a zeroed record, from an unused one if there is one.  Called with list_lock.  `visits` is
 * not set to zero but goes on counting.
 */
struct tri_thread *tri_thread_new(void)
{
	struct tri_thread *t = tri_g.unused;
	uint32_t visits = 0;

	if (t) {
		tri_g.unused = t->next;
		visits = tri_read(&t->visits);
		memset(t, 0, offsetof(struct tri_thread, copy));
	} else {
		t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		if (t == MAP_FAILED)
			return NULL;
		tri_raw_fork_wipe(t, true);
	}
	tri_write(&t->visits, visits);
	return t;
}

/* Set in @t what the agent sets in all threads as a phase begins.  Called with list_lock. */
static void adopt_phase(struct tri_thread *t)
{
	t->gen = tri_g.gen;
	t->black = tri_g.phase >= TRI_PHASE_BLACK;
	tri_write(&t->marking, tri_g.phase != TRI_PHASE_OFF);
	t->tls->barrier = tri_g.phase != TRI_PHASE_OFF || !tri_g.rseq;
	t->tls->caches = tri_g.rseq && !tri_g.diverted ? t->caches : tri_empty_caches;
	tri_write(&t->fence_seen, tri_read(&tri_g.fence));
	/* The next cycle has the number gen + 1.  Any other number says: not scanned. */
	tri_write(&t->scanned_cycle, tri_g.gen);
	/* In earlier phases the agent has yet to ask all threads, and asks this one too. */
	if (tri_g.phase == TRI_PHASE_SCAN)
		tri_write(&t->pending, TRI_PENDING_SCAN);
}

/*
 * Put @t, the record of the thread with @tls, into the list.  Called with list_lock.
 *
 * The agent tests whether the thread is alive, and then writes to @tls.  The thread may end between
 * the two.  That is no danger if the thread detaches first, under list_lock.  But some threads end
 * without the library's knowledge (not @inlined).  For these the agent writes to t->away.  Their
 * own @tls stays as it is in a thread that is not attached, so that each of their allocations and
 * stores calls the library.
 */
void tri_thread_link(struct tri_thread *t, struct tri__tls *tls, bool inlined)
{
	t->tls = inlined ? tls : &t->away;
	t->tp = tri_tls_pointer(tls);
	adopt_phase(t);
	t->next = tri_g.threads;
	t->prev = &tri_g.threads;
	if (t->next)
		t->next->prev = &t->next;
	tri_g.threads = t;
	tri_g.nthreads++;
	atomic_fetch_add(&tri_g.threads_made, 1);
	tls->thread = t;
}

/**
 * Make a record that has a slot and is in no list.  NULL: there is no memory, or no slot is left.
 */
struct tri_thread *tri_thread_new_with_slot(void)
{
	struct tri_thread *t;

	pthread_mutex_lock(&tri_g.list_lock);
	t = tri_thread_new();
	if (t && tri_slot_take(t)) {
		t->next = tri_g.unused;
		tri_g.unused = t;
		t = NULL;
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	return t;
}

/* Give back a record of tri_thread_new_with_slot() that is in no list.  Called with list_lock. */
void tri_thread_discard(struct tri_thread *t)
{
	tri_slot_give(t);
	t->next = tri_g.unused;
	tri_g.unused = t;
}

/* See tri_enter_any(). */
struct tri_thread *tri_common_enter(void)
{
	struct tri_thread *t = tri_g.common;

	if (!t)
		return NULL;
	tri_between = true;
	pthread_mutex_lock(&tri_g.list_lock);
	t->gen = tri_g.gen;
	tri_write(&t->marking, tri_g.phase != TRI_PHASE_OFF);
	return t;
}

void tri_common_leave(void)
{
	pthread_mutex_unlock(&tri_g.list_lock);
	tri_between = false;
}

/**
 * Take list_lock.  @self is the caller's record, which stays in the list; NULL: it has none.  With
 * the lock, the thread answers no handshake.  If it stopped as the agent asked, it would keep the
 * lock, which the agent needs before it lets stopped threads go on.
 */
void tri_list_lock(struct tri_thread *self)
{
	if (self)
		self->depth++;
	pthread_mutex_lock(&tri_g.list_lock);
}

void tri_list_unlock(struct tri_thread *self)
{
	pthread_mutex_unlock(&tri_g.list_lock);
	if (self && --self->depth == 0 && tri_read(&self->pending))
		tri_answer(self);
}

/*
 * Take @t out of the list.  Its spans and its buffer are given to others.  Called with list_lock,
 * by the thread itself or after it has ended.
 */
void tri_thread_remove(struct tri_thread *t)
{
	tri_g.ended_raw = tri_thread_over(t);
	/*
	 * A thread that ended inside the library may have left its spans half-changed.  They are
	 * given to nobody.
	 */
	if (!(tri_thread_over(t) && (tri_read(&t->visits) & 1))) {
		tri_lock(&t->cache_lock);
		tri_free_leave(t);
		tri_cache_flush(t, tri_read(&tri_g.sweepable) == t->gen);
		tri_unlock(&t->cache_lock);
	}
	tri_coroutine_detach(t);
	tri_flush_buffer(t);
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	tri_slot_give(t);
	if (--tri_g.nthreads == 0)
		tri_agent_wake(TRI_WAKE_THREADS);
	t->next = tri_g.unused;
	tri_g.unused = t;
}

/* In a forked child without a copy of the heap: forget all threads and their slots. */
void tri_threads_reset(void)
{
	memset(slots_used, 0, sizeof(slots_used));
	tri_g.threads = NULL;
	tri_g.unused = NULL;
	tri_g.nthreads = 0;
	tri_between = false;
	tri__tls.thread = NULL;
	tri__tls.caches = tri_empty_caches;
	tri__tls.barrier = 1;
	tri__tls.attention = 0;
}

static void is_unused(struct tri_thread *t)
{
	tri_raw_fork_wipe(t, true);
	t->next = tri_g.unused;
	tri_g.unused = t;
}

/*
 * In a forked child with a copy of the heap: forget all threads but @self, the one that forked.
 * NULL: it is not attached.
 */
void tri_threads_forked(struct tri_thread *self)
{
	bool inlined = self && self->tls != &self->away;
	struct tri_thread *t, *next;

	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		if (t != self)
			is_unused(t);
	}
	if (tri_g.agent)
		is_unused(tri_g.agent);
	if (tri_g.common)
		is_unused(tri_g.common);
	tri_g.agent = NULL;
	tri_g.common = NULL;
	tri_g.threads = NULL;
	tri_g.nthreads = 0;
	memset(slots_used, 0, sizeof(slots_used));
	if (!self)
		return;
	tri_raw_fork_wipe(self, true);
	self->tid = gettid();
	tri_life_of_main(self);
	tri_write(&self->signal_sent[0], 0);
	tri_write(&self->signal_sent[1], 0);
	self->cache_lock = (struct tri_lock){ 0 };
	self->black = 0;
	self->gen = tri_g.gen;
	tri_write(&self->marking, 0);
	tri_write(&self->pending, 0);
	tri_write(&self->scanned_cycle, 0);
	tri_write(&self->stopped, 0);
	/*
	 * This ends a blocking region of the thread.  If the thread forked in a handler that has
	 * interrupted the beginning of a region, that beginning is repeated: see region.c.
	 */
	tri_write(&self->blocked, tri_next_region(tri_read(&self->blocked)));
	slots_used[self->slot_index / 64] |= 1ull << (self->slot_index & 63);
	tri_write(&tri_g.view.ctl->slots_top, self->slot_index + 1);
	/*
	 * A depth above 1 means that a signal handler that interrupted the library has forked.  The
	 * interrupted function goes on to use the thread's buffer, so the thread keeps it.
	 */
	if (self->depth <= 1)
		self->buffer = 0;
	if (self->buffer) {
		tri_write(&tri_g.view.ctl->buffers_used, self->buffer);
		tri_write(&tri_g.view.buffers[self->buffer - 1].state, TRI_BUFFER_THREAD);
	}
	tri_write(&self->slot->buffer, self->buffer);
	tri_thread_link(self, &tri__tls, inlined);
}

/** Forget threads that have ended without detaching.  Called with list_lock. */
void tri_threads_reap(void)
{
	struct tri_thread *t, *next;

	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		if (tri_thread_over(t))
			tri_thread_remove(t);
	}
}
