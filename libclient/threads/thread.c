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

/* list_lock */
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

/* list_lock */
void tri_slot_give(struct tri_thread *t)
{
	slots_used[t->slot_index / 64] &= ~(1ull << (t->slot_index & 63));
}

/* list_lock.  A zeroed struct, reused if there is one. */
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

/* Adopt the phase, as the agent would have set it.  list_lock. */
static void adopt_phase(struct tri_thread *t)
{
	t->gen = tri_g.gen;
	t->black = tri_g.phase >= TRI_PHASE_BLACK;
	tri_write(&t->marking, tri_g.phase != TRI_PHASE_OFF);
	t->tls->barrier = tri_g.phase != TRI_PHASE_OFF || !tri_g.rseq;
	t->tls->caches = tri_g.rseq && !tri_g.diverted ? t->caches : tri_empty_caches;
	tri_write(&t->fence_seen, tri_read(&tri_g.fence));
	/* Any number but the next cycle's, which may be 0. */
	tri_write(&t->scanned_cycle, tri_g.gen);
	/* Before that the agent has not asked anybody yet, and will ask this thread too. */
	if (tri_g.phase == TRI_PHASE_SCAN)
		tri_write(&t->pending, TRI_PENDING_SCAN);
}

/*
 * list_lock.  The thread with @tls is in the list from here on.  The agent writes to @tls while the
 * thread is alive, which is a test and a store.  So as not to depend on their being faster than a
 * thread's end, a thread whose end we may not see coming has the agent write to a copy, and goes on
 * with what a thread has that is not attached: each of its allocations and stores comes into the
 * library.
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
 * A record with a slot, which is in no list.  NULL: there is no memory, or no slot is left.
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

/* list_lock.  A record with a slot that came into no list. */
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
 * list_lock, for a thread that is in the list and stays there (NULL: one that has no record).  It
 * answers nobody meanwhile: the agent may have asked it to stop, and wants that lock itself before
 * it lets go of who has stopped.
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
 * Take @t out of the list: its spans and its buffer are left for others.  list_lock.
 * Called by the thread itself, or for one that is no more.
 */
void tri_thread_remove(struct tri_thread *t)
{
	tri_g.ended_raw = tri_thread_over(t);
	/*
	 * One that ended inside left its spans as they were in the middle of something: nobody has
	 * them.
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

/* A forked child: the other threads do not exist here, nor does this one's arena. */
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

/* A forked child with a copy of the heap: it has the thread that forked, if that is attached. */
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
	 * A region of its is over, and one that a handler has interrupted as it began begins again.
	 */
	tri_write(&self->blocked, tri_next_region(tri_read(&self->blocked)));
	slots_used[self->slot_index / 64] |= 1ull << (self->slot_index & 63);
	tri_write(&tri_g.view.ctl->slots_top, self->slot_index + 1);
	/*
	 * A handler that interrupted the library may have forked: it goes on with the buffer that
	 * it has.
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

/** Forget threads that have ended without a word.  list_lock. */
void tri_threads_reap(void)
{
	struct tri_thread *t, *next;

	for (t = tri_g.threads; t; t = next) {
		next = t->next;
		if (tri_thread_over(t))
			tri_thread_remove(t);
	}
}
