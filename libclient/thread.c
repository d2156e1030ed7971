// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * thread.c - attaching, detaching
 *
 * A thread attaches at its first call (pthreads.c does it before the thread's own function runs).
 * Under list_lock it adopts the phase that the agent is in: barrier, colour, generation.  In a mark
 * phase it then scans its own stack: the agent may have done all the others already.
 *
 * It detaches when it ends, in a destructor of thread-specific data: it gives its spans back, hands
 * its buffer to the collector and leaves the list, in this order and under list_lock, so that a
 * handshake sees either the thread or what it left.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>

#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "../core/system/point.h"
#include "agent.h"
#include "attributes.h"
#include "shade.h"
#include "cache.h"
#include "coroutine.h"
#include "error.h"
#include "init.h"
#include "inside.h"
#include "life.h"
#include "lock.h"
#include "region.h"
#include "signals.h"
#include "stack.h"
#include "state.h"
#include "thread.h"
#include "tls.h"
#include "tricolor.h"
#include "raw_fork.h"

static pthread_key_t key;
static bool has_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static __thread bool ending __attribute__((tls_model("initial-exec")));
static uint64_t slots_used[TRI_SLOTS / 64];	/* list_lock */

/* The main thread's own; NULL: the library was loaded later and by another thread. */
static struct tri__tls *main_tls;
static pthread_t main_pthread;
static uint64_t *main_rseq_cs;

int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);
extern void *__dso_handle TRI_HIDDEN;

static void detach(void);

/* The thread's destructors are running.  What it attaches from now on ends without a word. */
static void thread_ends(void *unused)
{
	(void)unused;
	ending = true;
	detach();
}

static void make_key(void)
{
	has_key = !pthread_key_create(&key, thread_ends);
}

/*
 * Have thread_ends() called at this thread's end: by a key, or, in a program that has used up all
 * keys before it loaded this library, as a destructor of thread-local data.  False if that can't be
 * done, or has been: the destructors that run after ours may attach the thread again.
 */
static bool watch_end(struct tri_thread *t)
{
	if (ending)
		return false;
	if (has_key)
		return !pthread_setspecific(key, t);
	/* The main thread's are called by exit() already. */
	if (main_tls == &tri__tls)
		return false;
	return !__cxa_thread_atexit_impl(thread_ends, t, &__dso_handle);
}

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
static void link_thread(struct tri_thread *t, struct tri__tls *tls, bool inlined)
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

static struct tri_thread *new_with_slot(void)
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

/* A thread that blocks the signal would hold up every cycle. */
static void unblock_signal(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, tri_signal_number(0));
	sigaddset(&mask, tri_signal_number(1));
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

static uint64_t *rseq_word(void)
{
	return __rseq_size ? (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 8) :
			     NULL;
}

static void forget(struct tri_thread *t)
{
	tri_slot_give(t);
	t->next = tri_g.unused;
	tri_g.unused = t;
}

static int attach(void)
{
	bool is_main = main_tls == &tri__tls, inlined;
	struct tri_thread *t;

	pthread_once(&key_once, make_key);
	/* Beside another thread: see take_over() in agent.c. */
	if (tri_g.nthreads)
		tri_agent_ensure();
	tri_between = true;
	t = new_with_slot();
	if (!t) {
		tri_between = false;
		return tri_fail(EAGAIN,
				"tricolor: no slot for another thread: %u are attached; fewer "
				"threads, or tri_thread_detach() in those that need no heap",
				TRI_SLOTS);
	}
	t->tid = gettid();
	t->rseq_cs = rseq_word();
	tri_stack_find(t, pthread_self(), false);
	tri_coroutine_attach(t, (uintptr_t)__builtin_frame_address(0));
	tri_life_begin(t, is_main);
	inlined = watch_end(t) || is_main;
	pthread_mutex_lock(&tri_g.list_lock);
	/* Whoever started the heap may have attached the main thread meanwhile. */
	if (tri__tls.thread) {
		tri_life_end(t);
		tri_coroutine_detach(t);
		forget(t);
		t = tri__tls.thread;
	} else {
		link_thread(t, &tri__tls, inlined);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	tri_between = false;
	unblock_signal();
	if (tri_read(&t->pending))
		tri_answer(t);
	return 0;
}

/*
 * The main thread, when another one starts the heap: it may hold pointers that it loads from
 * globals without ever calling the library.
 */
__attribute__((constructor)) static void remember_main(void)
{
	pthread_once(&key_once, make_key);
	if (gettid() != getpid())
		return;
	tri_life_begin_main();
	main_tls = &tri__tls;
	main_pthread = pthread_self();
	main_rseq_cs = (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 8);
}

void tri_main_thread_attach(void)
{
	struct tri_thread *t;

	if (!main_tls || main_tls == &tri__tls || tri_main_is_over())
		return;
	t = new_with_slot();
	if (!t)
		return;
	t->tid = tri_g.pid;
	t->rseq_cs = __rseq_size ? main_rseq_cs : NULL;
	tri_stack_find(t, main_pthread, false);
	tri_life_of_main(t);
	pthread_mutex_lock(&tri_g.list_lock);
	if (main_tls->thread)
		forget(t);
	else
		link_thread(t, main_tls, true);
	pthread_mutex_unlock(&tri_g.list_lock);
}

/*
 * What a function does first that needs the heap: whoever calls it may hold objects from now on
 * without ever calling another.  No slot left is no failure of such a function; tasks.c finds the
 * thread.
 */
int tri_start_attached(const struct tri_options *opts)
{
	int err = tri_start(opts);

	if ((!err || err == -EALREADY) && !tri__tls.thread)
		attach();
	return err;
}

/* Attach the calling thread.  NULL with errno set if that can't be done. */
struct tri_thread *tri_attach_self(void)
{
	int err = tri_start(NULL);

	if (!err)
		err = attach();
	if (err) {
		errno = -err;
		return NULL;
	}
	return tri__tls.thread;
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

TRI_EXPORT int tri_thread_attach(void)
{
	if (tri__tls.thread && tri_is_ready())
		return 0;
	return tri_attach_self() ? 0 : -errno;
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

/* pthread_exit() of a thread that another one has attached: the main thread. */
void tri_thread_exiting(void)
{
	if (tri__tls.thread)
		watch_end(tri__tls.thread);
}

static void detach(void)
{
	struct tri_thread *t = tri__tls.thread;

	if (!t)
		return;
	if (tri_in_region() && !t->depth)
		tri_region_end(t);
	/* As tri_list_lock(), but for good. */
	t->depth++;
	tri_between = true;
	pthread_mutex_lock(&tri_g.list_lock);
	tri__tls.caches = tri_empty_caches;
	tri__tls.barrier = 1;
	tri__tls.attention = 0;
	tri__tls.thread = NULL;
	tri_life_end(t);
	tri_thread_remove(t);
	pthread_mutex_unlock(&tri_g.list_lock);
	tri_between = false;
	if (has_key)
		pthread_setspecific(key, NULL);
	/* The agent may be waiting for this thread's answer. */
	atomic_fetch_add(&tri_g.answers, 1);
	tri_futex_wake(&tri_g.answers);
}

TRI_EXPORT void tri_thread_detach(void)
{
	detach();
}

/* A forked child: the other threads do not exist here, nor does this one's arena. */
void tri_threads_reset(void)
{
	memset(slots_used, 0, sizeof(slots_used));
	tri_g.threads = NULL;
	tri_g.unused = NULL;
	tri_g.nthreads = 0;
	main_tls = &tri__tls;
	main_pthread = pthread_self();
	tri_life_begin_main();
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
	main_tls = &tri__tls;
	main_pthread = pthread_self();
	tri_life_begin_main();
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
	link_thread(self, &tri__tls, inlined);
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
