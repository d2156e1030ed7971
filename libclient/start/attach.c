// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * attach.c - how a thread attaches and detaches
 *
 * A thread attaches at its first call of the library.  If pthreads.c has made the thread, it
 * attaches before its own function runs.  Under list_lock it adopts the phase that the agent is in.
 * In the scan phase it then scans its own stack, because the agent may already have asked all other
 * threads.
 *
 * It detaches when it ends, in a destructor of thread-specific data.
 */
#include <errno.h>
#include <pthread.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "attach.h"
#include "../base/attributes.h"
#include "child.h"
#include "../roots/coroutine.h"
#include "../base/error.h"
#include "init.h"
#include "../program/inside.h"
#include "../threads/life.h"
#include "../base/lock.h"
#include "../threads/main_thread.h"
#include "../threads/region.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

static pthread_key_t key;
static bool has_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static __thread bool ending __attribute__((tls_model("initial-exec")));
int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);
extern void *__dso_handle TRI_HIDDEN;

static void detach(void);

/* The thread's destructors are running.  If it attaches again, it will end without detaching. */
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
 * Have thread_ends() called when this thread ends, as the destructor of a key.  A program may have
 * used up all keys before it loaded this library.  Then it is a destructor of thread-local data.
 * False: that can't be done, or it was called already, and one of the destructors that run after it
 * attaches the thread again.
 */
static bool watch_end(struct tri_thread *t)
{
	if (ending)
		return false;
	if (has_key)
		return !pthread_setspecific(key, t);
	/* exit() calls the main thread's destructors first, and the thread goes on after them. */
	if (tri_is_main_thread())
		return false;
	return !__cxa_thread_atexit_impl(thread_ends, t, &__dso_handle);
}

__attribute__((constructor)) static void make_key_early(void)
{
	pthread_once(&key_once, make_key);
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

static int attach(void)
{
	bool is_main = tri_is_main_thread(), inlined;
	struct tri_thread *t;

	pthread_once(&key_once, make_key);
	/* A second thread needs the agent: see take_over() in agent_arena.c. */
	if (tri_g.nthreads)
		tri_agent_ensure();
	tri_between = true;
	t = tri_thread_new_with_slot();
	if (!t) {
		tri_between = false;
		return tri_fail(EAGAIN,
				"tricolor: no slot for another thread: %u are attached; fewer "
				"threads, or tri_thread_detach() in those that need no heap",
				TRI_SLOTS);
	}
	t->tid = gettid();
	t->rseq_cs = tri_rseq_word();
	tri_stack_find(t, pthread_self(), false);
	tri_coroutine_attach(t, (uintptr_t)__builtin_frame_address(0));
	tri_life_begin(t, is_main);
	inlined = watch_end(t) || is_main;
	pthread_mutex_lock(&tri_g.list_lock);
	/* If this is the main thread, the one that started the heap may have attached it by now. */
	if (tri__tls.thread) {
		tri_life_end(t);
		tri_coroutine_detach(t);
		tri_thread_discard(t);
		t = tri__tls.thread;
	} else {
		tri_thread_link(t, &tri__tls, inlined);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	tri_between = false;
	unblock_signal();
	if (tri_read(&t->pending))
		tri_answer(t);
	return 0;
}

/*
 * Start the heap and attach the calling thread.  A function that needs the heap does this first:
 * its caller may hold objects from now on, and may never call the library again.  If no slot is
 * left for the thread, that is no error: unattached.c finds the thread.
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

TRI_EXPORT int tri_thread_attach(void)
{
	if (tri__tls.thread && tri_is_ready())
		return 0;
	return tri_attach_self() ? 0 : -errno;
}

/*
 * Called by pthread_exit().  The main thread, which another thread may have attached, now gets a
 * destructor as well.
 */
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
	/* As in tri_list_lock(), but the thread answers no handshake after this. */
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

TRI_EXPORT int tri_init(const struct tri_options *opts)
{
	return tri_start_attached(opts);
}

TRI_EXPORT void tri__poll_slow(void)
{
	struct tri_thread *t = tri_enter();

	if (t)
		tri_leave(t);
}
