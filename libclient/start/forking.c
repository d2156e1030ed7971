// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * forking.c - fork(): the child goes on with a copy of the heap
 *
 * The parent's arena is a shared mapping.  Normally children do not inherit it, since each process
 * would write into the other's heap.  While a fork() lasts, the mapping is inheritable:
 *
 *	prepare	The forking thread first waits until the agent is in no handshake.  A program that
 *		forks again and again could otherwise keep a handshake from ever ending.  Then the
 *		thread takes all locks of the heap, so that no table is half-written: start, fork,
 *		list_lock, roots, each thread's cache, the central lists, the page heap.  It makes
 *		the mapping inheritable, and maps a page that both processes share.
 *	child	copies what is allocated into an arena of its own, and maps that in place of the
 *		parent's: see copying.c.  It reports when the tables are copied, and when the
 *		contents are.
 *	parent	waits for both.  When the tables are copied, its other threads may allocate again
 *		unless they need fresh pages.  No cycle runs yet, and a heap that grew meanwhile
 *		would take longer to copy the next time.  When the contents are copied they may
 *		take pages, and cycles may begin and end.
 *
 * Other threads of the parent may store while the child copies.  Such a store may be in the copy,
 * as if it had been made just before the fork(), or may be missing from it.  What a lock of the
 * program protects is copied as it was at the instant of fork(), if the forking thread holds the
 * lock and releases it after this file's handler has run.  A release in a pthread_atfork() handler
 * comes after it: in the parent such handlers run in the order in which they were set up, and this
 * one was set up first.
 *
 * The child has one thread, which is attached if it was in the parent, and no agent.  Many children
 * call exec() or end soon.  So the agent, and with it a collector, is started when the heap has
 * grown so far that it needs one, or with the second thread (tri_agent_ensure()).
 *
 * Every wait is bounded.  The parent gives up a child that has died, which the kernel reports in a
 * robust futex, or that makes no progress.  The child learns of that from a word which both change
 * by compare-and-swap.  It has no heap then, as if no copy had been asked for.  The bound matters
 * also to a thread that forks in a signal handler, as it may wait for locks that it holds itself.
 *
 * pthread_getattr_np() takes a lock that the C library does not reset in a child.  If another
 * thread holds it at the fork(), the child can never take it.  A thread that attaches calls that
 * function.  So fork() waits until no thread is in that function for the library.  If it takes too
 * long, fork() goes on.  The loader's locks are treated in loader.c.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../heap/backing.h"
#include "../heap/central.h"
#include "../heap/copying.h"
#include "../heap/dumping.h"
#include "../base/error.h"
#include "../heap/freed.h"
#include "forking.h"
#include "../agent/handshake.h"
#include "init.h"
#include "../roots/loader.h"
#include "../base/lock.h"
#include "../threads/main_thread.h"
#include "../heap/pageheap.h"
#include "../roots/root_memory.h"
#include "../heap/specials.h"
#include "../roots/root_table.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"
#include "../threads/raw_fork.h"

#define LOCKS_PATIENCE_NS 2000000000ull
#define INSIDE_PATIENCE_NS 100000000ull	/* a thread that may hold the lock itself */
#define CHILD_PATIENCE_NS 3000000000ull	/* how long the child may make no progress */
#define LOOK_NS 20000000		/* how often the parent looks whether it has died */

#define AUTO_BYTES (256ull << 20)	/* TRICOLOR_FORK=auto copies heaps up to this size */

enum handover_state { FORKED, HAS_TABLES, HAS_PAGES, FAILED, GIVEN_UP };

/* A page that parent and child share. */
struct handover {
	tri_au32 state;			/* enum handover_state; a futex; both processes write it,
					 * by compare-and-swap */
	tri_au32 progress;		/* a counter; written by the child */
	tri_au32 child;			/* a robust futex: the child's thread ID, to which the
					 * kernel adds a bit when it has died */
};

static tri_au32 told;			/* standard error has said that a child has no copy */

/* The state of the thread that forks, while the fork() lasts. */
static __thread struct {
	bool locked, starting;		/* tri_fork_hold(); tri_start_hold() */
	bool root_memory;		/* tri_root_memory_hold() */
	bool between;			/* tri_between before */
	bool prepared;			/* `mask` is valid */
	uint64_t mask;			/* the mask of signals before */
	struct handover *shared;	/* a copy is being made, and all locks are held */
} forking __attribute__((tls_model("initial-exec")));

/* Printed once in a process, as a program may fork for each request. */
__attribute__((format(printf, 1, 2)))
static void tell(const char *fmt, ...)
{
	char text[512] = "tricolor: fork(): the child has no copy of the heap: ";
	size_t n = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, args);
	va_end(args);
	/*
	 * This sets tri_error() in the forking thread of the parent.  The child has a copy of its
	 * memory, and so of this text.
	 */
	tri_fail(0, "%s", text);
	if (!atomic_exchange(&told, 1))
		tri_print(text);
}

/* ------------------------------------------------------------------------------------------ */
/* Before                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static uint64_t used_bytes(void)
{
	int64_t pages = tri_read(&tri_g.view.ctl->used_pages);

	return pages > 0 ? (uint64_t)pages << TRI_PAGE_SHIFT : 0;
}

/* Whether a copy is made.  If one was wanted and is not made, standard error says why. */
static bool is_allowed(void)
{
	uint64_t used = used_bytes();
	int64_t limit = tri_read(&tri_g.view.ctl->limit_bytes);

	if (tri_g.settings.fork == TRI_FORK_AUTO && used > AUTO_BYTES) {
		tell("it has %llu MiB, and TRICOLOR_FORK=auto copies up to %llu; copy has it copied, "
		     "fresh is for programs whose children leave it alone",
		     (unsigned long long)(used >> 20), AUTO_BYTES >> 20);
		return false;
	}
	if (2 * used > (uint64_t)limit) {
		tell("it has %llu MiB, and both would pass the memory limit of %lld MiB; set "
		     "TRICOLOR_MEMORY_LIMIT higher", (unsigned long long)(used >> 20),
		     (long long)(limit >> 20));
		return false;
	}
	return true;
}

static bool hold_list(uint64_t ns)
{
	struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	return !pthread_mutex_clocklock(&tri_g.list_lock, CLOCK_MONOTONIC, &until);
}

/* Release the cache locks of all threads in the list before @end. */
static void release_caches(const struct tri_thread *end)
{
	struct tri_thread *t;

	for (t = tri_g.threads; t != end; t = t->next)
		tri_unlock(&t->cache_lock);
}

static bool hold_caches(uint64_t ns)
{
	struct tri_thread *t;

	for (t = tri_g.threads; t; t = t->next) {
		/* Beside the thread itself only the agent takes this lock, and with list_lock. */
		if (!tri_lock_until(&t->cache_lock, t == tri__tls.thread ? 0 : ns)) {
			release_caches(t);
			return false;
		}
	}
	return true;
}

/* Take all these locks or none, in the order that state.h gives. */
static bool hold_tables(uint64_t ns)
{
	if (!hold_caches(ns))
		return false;
	if (tri_specials_hold(ns)) {
		if (tri_central_hold(ns)) {
			if (tri_lock_until(&tri_g.page_lock, ns))
				return true;
			tri_central_release();
		}
		tri_specials_release();
	}
	release_caches(NULL);
	return false;
}

/* Release these locks, but not the page heap's. */
static void release_tables(void)
{
	tri_central_release();
	tri_specials_release();
	release_caches(NULL);
}

static bool hold_heap(uint64_t ns)
{
	if (!hold_list(ns))
		return false;
	if (tri_roots_hold(ns)) {
		if (hold_tables(ns))
			return true;
		tri_roots_release();
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	return false;
}

static void release_heap(void)
{
	tri_roots_release();
	pthread_mutex_unlock(&tri_g.list_lock);
}

/*
 * From here on the thread answers no handshake, as in tri_list_lock(), though its wait for the lock
 * is bounded.  For a thread that is not attached, tri_between has the agent leave it alone.
 */
static void begin_holding(void)
{
	if (tri__tls.thread)
		((struct tri_thread *)tri__tls.thread)->depth++;
	forking.between = tri_between;
	tri_between = true;
}

static void end_holding(void)
{
	if (tri__tls.thread)
		((struct tri_thread *)tri__tls.thread)->depth--;
	tri_between = forking.between;
}

/* Called with list_lock. */
static void wipe_records(void)
{
	struct tri_thread *t;

	for (t = tri_g.threads; t; t = t->next)
		tri_raw_fork_wipe(t, true);
}

static void prepare_copy(uint64_t patience_ns)
{
	struct tri_thread *t;
	struct handover *h;

	begin_holding();
	if (!hold_heap(tri_now_ns() + patience_ns)) {
		tell(patience_ns == INSIDE_PATIENCE_NS ?
		     "a signal handler that interrupted the library has called it" :
		     "another thread holds its locks, and does not let go of them");
		end_holding();
		return;
	}
	h = MAP_FAILED;
	for (t = tri_g.threads; t; t = t->next)
		tri_raw_fork_wipe(t, false);
	if (is_allowed())
		h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	if (h != MAP_FAILED && tri_backing_inherit(&tri_g.mapping, true)) {
		munmap(h, sizeof(*h));
		h = MAP_FAILED;
	}
	if (h == MAP_FAILED) {
		wipe_records();
		tri_unlock(&tri_g.page_lock);
		release_tables();
		release_heap();
		end_holding();
		return;
	}
	forking.shared = h;
}

static void set_mask(const uint64_t *mask, uint64_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, old, sizeof(*mask));
}

/* The handler of pthread_atfork() that runs before the fork. */
void tri_fork_prepare(void)
{
	struct tri_thread *t = tri__tls.thread;
	uint64_t all = ~0ull, patience_ns;
	int i, sig;

	TRI_POINT("fork.prepares");
	/*
	 * Until the end of the fork(), in both processes, no handler of the program runs: it could
	 * leave by a jump.  The library's handler does run: another thread may wait for it, and
	 * hold list_lock meanwhile.
	 */
	for (i = 0; i < 2; i++) {
		sig = tri_signal_number(i);
		if (sig > 0)
			all &= ~(1ull << (sig - 1));
	}
	set_mask(&all, &forking.mask);
	forking.prepared = true;
	patience_ns = t && t->depth ? INSIDE_PATIENCE_NS : LOCKS_PATIENCE_NS;
	forking.shared = NULL;
	/* The child reads in the record which stacks the thread has. */
	if (t)
		tri_raw_fork_wipe(t, false);
	/* The agent may be waiting for a thread that is inside, which then must not wait for it. */
	if (!t || !t->depth)
		tri_handshake_wait(tri_now_ns() + patience_ns);
	forking.starting = tri_start_hold(tri_now_ns() + patience_ns);
	forking.locked = tri_fork_hold();
	forking.root_memory = tri_root_memory_hold(tri_now_ns() + patience_ns);
	if (tri_read(&tri_g.state) == TRI_STATE_READY && tri_g.settings.fork != TRI_FORK_FRESH)
		prepare_copy(patience_ns);
	/*
	 * These locks are taken last.  Threads that load and unload objects want list_lock as well
	 * (unload.c), but hold the loader's locks for a short time only.
	 */
	tri_loader_hold(tri_now_ns() + patience_ns);
	/* tri_fork_over() finds here whether there is a child. */
	errno = 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The parent, after                                                                          */
/* ------------------------------------------------------------------------------------------ */

/* Wait until the child has reached @state, or is given up. */
static void wait_for(struct handover *h, enum handover_state state)
{
	uint64_t since = tri_now_ns();
	uint32_t seen = 0;

	for (;;) {
		uint32_t now = tri_read_acquire(&h->state), progress = tri_read(&h->progress);

		if (now >= state)
			return;
		if (progress != seen)
			since = tri_now_ns();
		seen = progress;
		if (tri_read(&h->child) & FUTEX_OWNER_DIED ||
		    tri_now_ns() - since > CHILD_PATIENCE_NS) {
			atomic_compare_exchange_strong(&h->state, &now, GIVEN_UP);
			continue;
		}
		tri_futex_wait(&h->state, now, LOOK_NS);
	}
}

static void hand_over(bool has_child)
{
	struct handover *h = forking.shared;
	struct tri_thread *t = tri__tls.thread;

	tri_backing_inherit(&tri_g.mapping, false);
	wipe_records();
	if (has_child)
		wait_for(h, HAS_TABLES);
	release_tables();
	if (has_child)
		wait_for(h, HAS_PAGES);
	tri_unlock(&tri_g.page_lock);
	release_heap();
	/* If the child has failed it has printed the reason. */
	if (tri_read(&h->state) >= FAILED)
		tri_write(&told, 1);
	munmap(h, sizeof(*h));
	forking.shared = NULL;
	end_holding();
	if (t && !t->depth && tri_read(&t->pending))
		tri_answer(t);
}

void tri_fork_over(void)
{
	/*
	 * If fork() has failed, errno says why.  A handler of the program that ran since
	 * tri_fork_prepare() may also have set it, and then the parent does not wait.
	 */
	bool has_child = errno != EAGAIN && errno != ENOMEM;

	tri_loader_release();
	if (forking.root_memory)
		tri_root_memory_release();
	forking.root_memory = false;
	tri_fork_release(forking.locked);
	if (forking.starting)
		tri_start_release();
	if (forking.shared)
		hand_over(has_child);
	if (tri__tls.thread)
		tri_raw_fork_wipe(tri__tls.thread, true);
	forking.prepared = false;
	set_mask(&forking.mask, NULL);
}

/* ------------------------------------------------------------------------------------------ */
/* The child                                                                                  */
/* ------------------------------------------------------------------------------------------ */

/*
 * A list of one robust futex, which the kernel marks if this thread dies.  It is in use from
 * announce() to renounce().  Meanwhile the C library's own list, of robust mutexes that the thread
 * holds, is not: the child of a fork() holds none.
 */
static struct {
	struct robust_list_head head;
	struct robust_list entry;
	struct robust_list_head *was;
	size_t was_bytes;
} robust;

static void announce(struct handover *h)
{
	syscall(SYS_get_robust_list, 0, &robust.was, &robust.was_bytes);
	robust.entry.next = &robust.head.list;
	robust.head.list.next = &robust.entry;
	robust.head.futex_offset = (long)((char *)&h->child - (char *)&robust.entry);
	robust.head.list_op_pending = NULL;
	tri_write(&h->child, (uint32_t)gettid());
	syscall(SYS_set_robust_list, &robust.head, sizeof(robust.head));
}

static void renounce(struct handover *h)
{
	syscall(SYS_set_robust_list, robust.was, robust.was_bytes);
	tri_write(&h->child, 0);
}

/* Tell the parent how far the copy is.  False: the parent has given up. */
static bool advance(struct handover *h, uint32_t from, uint32_t to)
{
	bool done = atomic_compare_exchange_strong(&h->state, &from, to);

	tri_futex_wake(&h->state);
	return done;
}

static bool goes_on(void *arg)
{
	struct handover *h = arg;

	atomic_fetch_add(&h->progress, 1);
	return tri_read(&h->state) == HAS_TABLES;
}

static int make_copy(struct tri_copy *c, struct handover *h)
{
	int err = tri_backing_copy(&c->to, &tri_g.mapping);

	if (err)
		return err;
	tri_view_init(&c->tables, c->to.base, &c->to.layout, tri_g.view.heap_va);
	err = tri_copy_tables(c, tri__tls.thread);
	if (!err && !advance(h, FORKED, HAS_TABLES))
		err = -ETIMEDOUT;
	if (!err)
		err = tri_copy_pages(c);
	if (!err && !advance(h, HAS_TABLES, HAS_PAGES))
		err = -ETIMEDOUT;
	/* The parent goes on already: the child needs nothing more of the parent's arena. */
	if (!err)
		err = tri_backing_install(&c->to, tri_g.mapping.base);
	if (err)
		tri_backing_discard(&c->to);
	return err;
}

/* Set the library's state to that of a process that has this one thread and no cycle. */
static void become(const struct tri_copy *c)
{
	/*
	 * A parent without an agent is such a child itself.  It has the arena's descriptor in the
	 * table of its program, which this process has inherited.
	 */
	if (!tri_g.agent_tid && tri_backing_is_there(&tri_g.mapping))
		close(tri_g.mapping.fd);
	tri_g.mapping = c->to;
	tri_g.pid = getpid();
	tri_raw_fork_init();
	pthread_mutex_init(&tri_g.list_lock, NULL);
	tri_g.phase = TRI_PHASE_OFF;
	tri_g.cycle = tri_g.gen;
	tri_write(&tri_g.sweepable, tri_g.gen);
	tri_g.agent_tid = 0;
	tri_write(&tri_g.in_handshake, 0);
	tri_write(&tri_g.wake, 0);
	tri_write(&tri_g.cycle_is_void, 0);
	tri_write(&tri_g.collector_pid, 0);
	tri_write(&tri_g.reconnects, 0);
	tri_write(&tri_g.without_collector_ns, 0);
	memset(&tri_g.interruptions, 0, sizeof(tri_g.interruptions));
	tri_g.settings.gc_percent = c->gc_percent;
	tri_g.settings.memory_limit_bytes = c->memory_limit_bytes;
	tri_g.settings.limit_policy = c->limit_policy;
	tri_ctl_fill(c->allocated_bytes);
	/* If the fork() was made in a signal handler that interrupted a wait, the wait is over. */
	tri_write(&tri_g.view.ctl->gc_done, tri_read(&tri_g.gc_wanted));
	tri_write(&tri_g.view.ctl->free_done, tri_read(&tri_g.free_wanted));
	tri_main_thread_is_here();
	tri_threads_forked(tri__tls.thread);
	tri_free_forked();
	tri_specials_forked();
	tri_pageheap_reset();
	tri_dump_begin();
	tri_central_init();
	tri_copy_list_spans();
}

static const char *why(int err)
{
	return err == -ETIMEDOUT ? "the parent has not waited until it was made" : strerror(-err);
}

/** In the child: make the copy.  True: the child has a copy of the heap, which is ready. */
bool tri_fork_copied(void)
{
	struct handover *h = forking.shared;
	struct tri_copy copy = { .goes_on = goes_on, .arg = h };
	int err;

	if (!h)
		return false;
	announce(h);
	err = make_copy(&copy, h);
	if (err) {
		tri_write(&h->state, FAILED);
		tri_futex_wake(&h->state);
		tell("%s", why(err));
	}
	renounce(h);
	munmap(h, sizeof(*h));
	if (!err)
		become(&copy);
	end_holding();
	return !err;
}

/* The child calls this last. */
void tri_fork_reset(void)
{
	tri_fork_lock_reset();
	tri_root_memory_reset(forking.root_memory);
	forking.root_memory = false;
	tri_loader_reset();
	forking.shared = NULL;
	if (forking.prepared)
		set_mask(&forking.mask, NULL);
	forking.prepared = false;
}
