// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * forking.c - fork(): the child goes on with a copy of the heap
 *
 * The parent's arena is a shared mapping, which children do not inherit: each would write into the
 * other's heap.  For the time of a fork() they do:
 *
 *	prepare	The forking thread waits, for a bounded time, until the agent is in no handshake,
 *		which a program that forks again and again would keep from ever coming to its end.
 *		It takes the locks of the heap, all of them and for a bounded time, so that no table
 *		is half-written: start, fork, list_lock, roots, each thread's cache, the central
 *		lists, the page heap.  It makes the mapping inheritable, and a page that both
 *		processes share.
 *	child	copies what is allocated into an arena of its own and maps that in its place:
 *		copying.c.  It says when it has the tables, and when it has the contents.
 *	parent	waits for both.  With the tables copied the other threads may allocate again, if
 *		they need no fresh pages: a heap that grows without cycles for so long would be so
 *		much longer to copy the next time.  When the contents are copied they may have
 *		pages, and cycles begin and end.
 *
 * What other threads of the parent store while the child copies may be in the copy or not, as if
 * they had been a little faster.  What is stored under a lock that the forking thread holds is as
 * of the instant of fork(), if the lock is given back after this file's handler has run: handlers
 * run in the parent in the order in which they were set up, and this is set up first.
 *
 * The child has one thread, attached as it was, and no agent.  Many children exec() or end soon:
 * the agent, and with it a collector, comes when the heap has grown so far that it is needed, or
 * with the second thread (tri_agent_ensure()).
 *
 * Nobody waits without a bound.  The parent gives up a child that has died (the kernel says so, in
 * a robust futex) or that shows no progress; the child learns that from a word that both change by
 * compare-and-swap, and then has no heap, as if no copy had been wanted.  A thread that forks in a
 * signal handler may itself hold the locks that it waits for.
 *
 * pthread_getattr_np() takes a lock that the C library does not mend in a child: one that is forked
 * while another thread has it can never take it again.  Whoever attaches a thread may be in it.  So
 * fork() waits until none of our threads is; that wait is bounded, and fork() goes on without then.
 * The loader's locks: loader.c.
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
#include "../roots/root_table.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"
#include "../threads/raw_fork.h"

#define LOCKS_PATIENCE_NS 2000000000ull
#define INSIDE_PATIENCE_NS 100000000ull	/* a thread that may hold the lock itself */
#define CHILD_PATIENCE_NS 3000000000ull	/* without a sign of life */
#define LOOK_NS 20000000		/* how soon its death is seen */

#define AUTO_BYTES (256ull << 20)	/* TRICOLOR_FORK=auto copies up to that */

enum handover_state { FORKED, HAS_TABLES, HAS_PAGES, FAILED, GIVEN_UP };

/* A page that parent and child share. */
struct handover {
	tri_au32 state;			/* enum handover_state; futex; both, by compare-and-swap */
	tri_au32 progress;		/* child */
	tri_au32 child;			/* robust futex: thread ID of the child, and that it
					 * died; kernel */
};

static tri_au32 told;			/* that a child has no copy */

/* Of the thread that forks, from prepare to its end. */
static __thread struct {
	bool locked, starting;		/* tri_fork_hold(); tri_start_hold() */
	bool between;			/* tri_between, as it was */
	bool prepared;			/* the mask below is one */
	uint64_t mask;			/* of signals, as it was */
	struct handover *shared;	/* a copy is being made, and all locks are held */
} forking __attribute__((tls_model("initial-exec")));

/* Said once a process, as a program may fork for each request. */
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
	 * For tri_error() in the forking thread of the parent, and of the child, which has its
	 * memory.
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

/* Whether there is to be a copy; if not although one was wanted, standard error says why. */
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

/* From the first thread of the list up to @end. */
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
		/* Beside the thread itself only the agent takes it, and that with list_lock. */
		if (!tri_lock_until(&t->cache_lock, t == tri__tls.thread ? 0 : ns)) {
			release_caches(t);
			return false;
		}
	}
	return true;
}

/* All of these or none.  In the order of state.h. */
static bool hold_tables(uint64_t ns)
{
	if (!hold_caches(ns))
		return false;
	if (tri_central_hold(ns)) {
		if (tri_lock_until(&tri_g.page_lock, ns))
			return true;
		tri_central_release();
	}
	release_caches(NULL);
	return false;
}

/* All but the page heap. */
static void release_tables(void)
{
	tri_central_release();
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
 * As tri_list_lock(), which patience ends.  A thread that is not attached the agent leaves alone if
 * it says so.
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

/* list_lock */
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

/* Handlers of pthread_atfork(): before, and after in the parent. */
void tri_fork_prepare(void)
{
	struct tri_thread *t = tri__tls.thread;
	uint64_t all = ~0ull, patience_ns;
	int i, sig;

	TRI_POINT("fork.prepares");
	/*
	 * No handler runs that could leave by a jump, in neither process.  Ours does: another
	 * thread may wait for it with list_lock in its hands.
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
	/* The child wants to know which stacks the thread has. */
	if (t)
		tri_raw_fork_wipe(t, false);
	/* A thread that is inside is one that the agent may be waiting for. */
	if (!t || !t->depth)
		tri_handshake_wait(tri_now_ns() + patience_ns);
	forking.starting = tri_start_hold(tri_now_ns() + patience_ns);
	forking.locked = tri_fork_hold();
	if (tri_read(&tri_g.state) == TRI_STATE_READY && tri_g.settings.fork != TRI_FORK_FRESH)
		prepare_copy(patience_ns);
	/*
	 * Last: threads that load and unload want list_lock, too (unload.c), but have these
	 * shortly.
	 */
	tri_loader_hold(tri_now_ns() + patience_ns);
	/* So that tri_fork_over() can tell whether there is a child. */
	errno = 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The parent, after                                                                          */
/* ------------------------------------------------------------------------------------------ */

/* Until the child has come as far as @state, or never will. */
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
	/* The child has said why. */
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
	 * The C library shows the error of a fork() that failed here; a handler that ran since
	 * prepare may have too.
	 */
	bool has_child = errno != EAGAIN && errno != ENOMEM;

	tri_loader_release();
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
 * Have the kernel mark @word if this thread dies.  Lives until the list is given back.  The C
 * library's own list has the robust mutexes that are held, of which a child holds none.
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

/* False: the parent has not waited. */
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
	/* The parent goes on meanwhile: of its memory nothing is needed any more. */
	if (!err)
		err = tri_backing_install(&c->to, tri_g.mapping.base);
	if (err)
		tri_backing_discard(&c->to);
	return err;
}

/* The library's state as that of a process with this one thread, and no cycle on. */
static void become(const struct tri_copy *c)
{
	/* A parent without an agent, itself such a child: the descriptor came along. */
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
	/* A wait that the fork() interrupted, in a signal handler, is over. */
	tri_write(&tri_g.view.ctl->gc_done, tri_read(&tri_g.gc_wanted));
	tri_write(&tri_g.view.ctl->free_done, tri_read(&tri_g.free_wanted));
	tri_main_thread_is_here();
	tri_threads_forked(tri__tls.thread);
	tri_free_forked();
	tri_pageheap_reset();
	tri_dump_begin();
	tri_central_init();
	tri_copy_list_spans();
}

static const char *why(int err)
{
	return err == -ETIMEDOUT ? "the parent has not waited until it was made" : strerror(-err);
}

/** In the child: true if it has a copy of the heap, in place and ready. */
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

/* In the child, at the end. */
void tri_fork_reset(void)
{
	tri_fork_lock_reset();
	tri_loader_reset();
	forking.shared = NULL;
	if (forking.prepared)
		set_mask(&forking.mask, NULL);
	forking.prepared = false;
}
