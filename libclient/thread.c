// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * thread.c - attaching, blocking regions, detaching
 *
 * A thread attaches at its first call (interpose.c does it before the thread's own function runs).
 * Under list_lock it adopts the phase that the agent is in: barrier, colour, generation.  In a mark
 * phase it then scans its own stack: the agent may have done all the others already.
 *
 * It detaches when it ends, in a destructor of thread-specific data: it gives its spans back, hands
 * its buffer to the collector and leaves the list, in this order and under list_lock, so that a
 * handshake sees either the thread or what it left.
 */
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "futex.h"
#include "internal.h"

__thread struct tri__tls tri__tls __attribute__((tls_model("initial-exec"),
						 visibility("default"))) = {
	.caches = tri_empty_caches,
	.barrier = 1,
};

/* What the inline allocation path finds in a thread that is not attached, or diverted. */
struct tri__cache tri_empty_caches[TRI__CACHES];

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t slots_used[TRI_SLOTS / 64];	/* list_lock */

static bool detach(void);

static void thread_ends(void *unused)
{
	(void)unused;
	if (detach())
		tri_last_thread_ends();
}

static void make_key(void)
{
	pthread_key_create(&key, thread_ends);
}

/* list_lock */
int tri_slot_take(struct tri_thread *t)
{
	uint32_t i;

	for (i = 0; i < TRI_SLOTS / 64; i++) {
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
		memset(t, 0, sizeof(*t));
	} else {
		t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (t == MAP_FAILED)
			return NULL;
	}
	tri_write(&t->visits, visits);
	return t;
}

static int find_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct tri_thread *t = arg;
	uintptr_t lo = (uintptr_t)info->dlpi_tls_data, here = (uintptr_t)&tri__tls;
	int i;

	(void)size;
	for (i = 0; lo && i < info->dlpi_phnum; i++) {
		uintptr_t hi = lo + info->dlpi_phdr[i].p_memsz;

		/* Blocks of modules loaded later are elsewhere: the static ones are near ours. */
		if (info->dlpi_phdr[i].p_type != PT_TLS || (lo > here ? lo - here : here - lo) > 65536)
			continue;
		if (!t->tls_lo || lo < t->tls_lo)
			t->tls_lo = lo;
		if (hi > t->tls_hi)
			t->tls_hi = hi;
	}
	return 0;
}

static void find_stack(struct tri_thread *t, pthread_t self)
{
	bool held = tri_fork_hold();
	pthread_attr_t attr;
	void *addr;
	size_t size;

	if (!pthread_getattr_np(self, &attr)) {
		if (!pthread_attr_getstack(&attr, &addr, &size)) {
			t->stack_lo = (uintptr_t)addr;
			t->stack_hi = (uintptr_t)addr + size;
		}
		pthread_attr_destroy(&attr);
	}
	/* The main thread's stack grows: its limit may be raised while the program runs. */
	if (t->tid == tri_g.pid && t->stack_lo > (64ul << 20))
		t->stack_lo -= 64ul << 20;
	/* On other threads' stacks the static TLS block is above everything else. */
	if (self == pthread_self() &&
	    ((uintptr_t)&tri__tls < t->stack_lo || (uintptr_t)&tri__tls >= t->stack_hi))
		dl_iterate_phdr(find_tls, t);
	tri_fork_release(held);
}

/* Adopt the phase, as the agent would have set it.  list_lock. */
static void adopt_phase(struct tri_thread *t)
{
	t->gen = tri_g.gen;
	t->black = tri_g.phase == TRI_PHASE_BLACK;
	tri_write(&t->marking, tri_g.phase != TRI_PHASE_OFF);
	t->tls->barrier = tri_g.phase != TRI_PHASE_OFF || !tri_g.rseq;
	t->tls->caches = tri_g.rseq ? t->caches : tri_empty_caches;
	tri_write(&t->fence_seen, tri_read(&tri_g.fence));
	if (tri_g.phase != TRI_PHASE_OFF)
		tri_write(&t->pending, TRI_PENDING_SCAN);
}

/* list_lock.  The thread with @tls is in the list from here on. */
static void link_thread(struct tri_thread *t, struct tri__tls *tls)
{
	t->tls = tls;
	adopt_phase(t);
	t->next = tri_g.threads;
	t->prev = &tri_g.threads;
	if (t->next)
		t->next->prev = &t->next;
	tri_g.threads = t;
	tri_g.nthreads++;
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
	sigaddset(&mask, tri_g.settings.signal);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

static uint64_t *rseq_word(void)
{
	return tri_g.rseq ? (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 8) : NULL;
}

static int attach(void)
{
	struct tri_thread *t;

	pthread_once(&key_once, make_key);
	t = new_with_slot();
	if (!t)
		return tri_fail(EAGAIN, "tricolor: no slot for another thread: %u are attached",
				TRI_SLOTS);
	t->tid = gettid();
	t->rseq_cs = rseq_word();
	find_stack(t, pthread_self());
	pthread_mutex_lock(&tri_g.list_lock);
	/* Whoever started the heap may have attached the main thread meanwhile. */
	if (tri__tls.thread) {
		tri_slot_give(t);
		t->next = tri_g.unused;
		tri_g.unused = t;
		t = tri__tls.thread;
	} else {
		link_thread(t, &tri__tls);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	pthread_setspecific(key, t);
	unblock_signal();
	if (tri_read(&t->pending))
		tri_answer(t);
	return 0;
}

/*
 * The main thread, when another one starts the heap: it may hold pointers that it loads from globals
 * without ever calling the library.
 */
static struct tri__tls *main_tls;
static pthread_t main_pthread;
static uint64_t *main_rseq_cs;
static struct tri_thread main_tls_range;

__attribute__((constructor)) static void remember_main(void)
{
	if (gettid() != getpid())
		return;
	main_tls = &tri__tls;
	main_pthread = pthread_self();
	main_rseq_cs = (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 8);
	dl_iterate_phdr(find_tls, &main_tls_range);
}

void tri_main_thread_attach(void)
{
	struct tri_thread *t;

	if (!main_tls || main_tls == &tri__tls)
		return;
	t = new_with_slot();
	if (!t)
		return;
	t->tid = tri_g.pid;
	t->rseq_cs = tri_g.rseq ? main_rseq_cs : NULL;
	find_stack(t, main_pthread);
	t->tls_lo = main_tls_range.tls_lo;
	t->tls_hi = main_tls_range.tls_hi;
	pthread_mutex_lock(&tri_g.list_lock);
	if (main_tls->thread) {
		tri_slot_give(t);
		t->next = tri_g.unused;
		tri_g.unused = t;
	} else {
		link_thread(t, main_tls);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
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

TRI_EXPORT int tri_thread_attach(void)
{
	if (tri__tls.thread)
		return 0;
	return tri_attach_self() ? 0 : -errno;
}

/*
 * Take @t out of the list: its spans and its buffer are left for others.  list_lock.
 * Called by the thread itself, or for one that is no more.
 */
void tri_thread_remove(struct tri_thread *t)
{
	tri_lock(&t->cache_lock);
	tri_cache_flush(t, tri_read(&tri_g.sweepable) == t->gen);
	tri_unlock(&t->cache_lock);
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

/* pthread_exit(): the destructor runs only for threads that attached themselves. */
void tri_thread_exiting(void)
{
	if (tri__tls.thread)
		pthread_setspecific(key, tri__tls.thread);
	else if (main_tls == &tri__tls)
		main_tls = NULL;
}

/* True if it was the last one. */
static bool detach(void)
{
	struct tri_thread *t = tri__tls.thread;
	bool last;

	if (!t)
		return false;
	/* Not to be stopped with list_lock in its hands: a handler leaves a thread with depth alone. */
	t->depth++;
	pthread_mutex_lock(&tri_g.list_lock);
	tri__tls.caches = tri_empty_caches;
	tri__tls.barrier = 1;
	tri__tls.attention = 0;
	tri__tls.thread = NULL;
	tri_thread_remove(t);
	last = !tri_g.nthreads;
	pthread_mutex_unlock(&tri_g.list_lock);
	pthread_setspecific(key, NULL);
	/* The agent may be waiting for this thread's answer. */
	atomic_fetch_add(&tri_g.answers, 1);
	tri_futex_wake(&tri_g.answers);
	return last;
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
	tri__tls.thread = NULL;
	tri__tls.caches = tri_empty_caches;
	tri__tls.barrier = 1;
	tri__tls.attention = 0;
}

/*
 * From here on the agent answers for this thread.  @sp: the stack from here up stays as it is.
 * @from: below @sp, words to remember that will not stay (at most 64).
 */
__attribute__((no_sanitize("address", "thread")))
void tri_thread_block(struct tri_thread *t, uintptr_t from, uintptr_t sp)
{
	const uintptr_t *word = (const uintptr_t *)from;

	t->nsaved = 0;
	for (; (uintptr_t)word < sp && t->nsaved < 64; word++)
		t->saved[t->nsaved++] = *word;
	t->saved_sp = sp;
	tri_write_release(&t->blocked, TRI_BLOCKED);
	/* Either the agent sees this, or we see its request and tell it to look again. */
	atomic_thread_fence(memory_order_seq_cst);
	if (tri_read(&t->pending)) {
		atomic_fetch_add(&tri_g.answers, 1);
		tri_futex_wake(&tri_g.answers);
	}
}

void tri_thread_unblock(struct tri_thread *t)
{
	uint32_t blocked = TRI_BLOCKED;

	while (!atomic_compare_exchange_strong(&t->blocked, &blocked, TRI_RUNNING)) {
		tri_futex_wait(&t->blocked, TRI_BLOCKED_HELD, -1);
		blocked = TRI_BLOCKED;
	}
	if (unlikely(tri_read(&t->pending)) && !t->depth)
		tri_answer(t);
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
	if (!t || t->blocking_depth++ || t->depth)
		return;
	tri_thread_block(t, sp, (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t));
}

TRI_EXPORT void tri_blocking_exit(void)
{
	struct tri_thread *t = tri__tls.thread;

	/* 0: a jump has ended the region. */
	if (!t || !t->blocking_depth || --t->blocking_depth ||
	    tri_read(&t->blocked) == TRI_RUNNING)
		return;
	tri_thread_unblock(t);
}
