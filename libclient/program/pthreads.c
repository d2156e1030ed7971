// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pthreads.c - functions of <pthread.h> and <threads.h> that the library stands in front of
 *
 *	pthread_create, thrd_create	The new thread is attached before its function runs.  Until
 *					then the argument is a root.  What the function returns is
 *					a root until the thread is joined.
 *	pthread_exit, _join, _detach	These keep that result as a root, or release it.
 *
 * Each of these has a second name (tri_pthread_create() and so on).  tricolor.h makes programs call
 * it by that name where the C library's function may be found first.
 */
#include <errno.h>
#include <stdlib.h>
#include <threads.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../start/attach.h"
#include "../base/attributes.h"
#include "../roots/shade.h"
#include "../start/init.h"
#include "inside.h"
#include "../base/real.h"
#include "../roots/starting.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

static void shade_root(const void *pointer)
{
	struct tri_thread *t;

	if (tri_read_acquire(&tri_g.state) != TRI_STATE_READY)
		return;
	t = tri_enter_any();
	if (!t)
		return;
	if (tri_read(&t->marking))
		tri_shade(t, pointer);
	tri_leave_any(t);
}

/* The thread has ended.  Its record stays, with the result, if the thread may be joined. */
static void ended(void *result)
{
	struct tri_starting *s = tri_starting_self;

	if (!s)
		return;
	(tri_store)(&s->result, result);
	tri_starting_ended(s);
}

/* The thread was cancelled, or ended by a function that the library does not stand in front of. */
static void cut_short(void *unused)
{
	(void)unused;
	ended(NULL);
}

static void *run(void *arg)
{
	struct tri_starting *s = arg;
	void *volatile user_arg;
	void *result;

	TRI_POINT("starting.begins");
	tri_begun_here = true;
	TRI_POINT("starting.runs");
	user_arg = s->arg;
	tri_starting_self = s;
	tri_thread_attach();
	/* The argument is on this stack now; deleting the root shades it. */
	(tri_store)(&s->arg, NULL);
	pthread_cleanup_push(cut_short, NULL);
	result = s->fn(user_arg);
	ended(result);
	pthread_cleanup_pop(0);
	return result;
}

static int create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct tri_starting *s = calloc(1, sizeof(*s));
	int detached = PTHREAD_CREATE_JOINABLE, err;

	if (!s)
		return EAGAIN;
	/* A forked child starts its agent before a second thread: take_over() in agent_arena.c. */
	if (tri_is_ready())
		tri_agent_ensure();
	if (attr)
		pthread_attr_getdetachstate(attr, &detached);
	s->fn = fn;
	s->arg = arg;
	s->joinable = detached == PTHREAD_CREATE_JOINABLE;
	/* The argument is a root from here on.  It is shaded, as roots may be scanned already. */
	tri_starting_add(s, (uintptr_t)run);
	shade_root(arg);
	tri_starting_lock();
	err = REAL(pthread_create)(thread, attr, run, s);
	if (err)
		tri_starting_drop(s);
	else if (s->joinable)
		tri_starting_made(s, *thread);
	tri_starting_unlock();
	return err;
}

TRI_EXPORT int tri_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
				  void *(*fn)(void *), void *arg)
{
	return create(thread, attr, fn, arg);
}

TRI_EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
			      void *(*fn)(void *), void *restrict arg)
{
	return create(thread, attr, fn, arg);
}

struct c11 {
	thrd_start_t fn;
	void *arg;
};

static void *run_c11(void *arg)
{
	struct c11 *c = arg;
	thrd_start_t fn = c->fn;
	void *volatile user_arg = c->arg;

	tri_root_remove(&c->arg, sizeof(c->arg));
	free(c);
	return (void *)(intptr_t)fn(user_arg);
}

TRI_EXPORT int tri_thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
	struct c11 *c = malloc(sizeof(*c));
	int err;

	if (!c)
		return thrd_nomem;
	c->fn = fn;
	c->arg = arg;
	err = tri_root_add(&c->arg, sizeof(c->arg));
	if (!err)
		err = create(thread, NULL, run_c11, c);
	if (!err)
		return thrd_success;
	tri_root_remove(&c->arg, sizeof(c->arg));
	free(c);
	return err == ENOMEM || err == EAGAIN ? thrd_nomem : thrd_error;
}

TRI_EXPORT int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
	return tri_thrd_create(thread, fn, arg);
}

TRI_EXPORT void tri_pthread_exit(void *result)
{
	ended(result);
	tri_thread_exiting();
	REAL(pthread_exit)(result);
	__builtin_unreachable();
}

TRI_EXPORT void pthread_exit(void *result)
{
	tri_pthread_exit(result);
}

TRI_EXPORT int tri_pthread_join(pthread_t thread, void **result)
{
	uint64_t serial = tri_starting_serial(thread);
	void *value = NULL;
	int err = REAL(pthread_join)(thread, &value);

	if (err)
		return err;
	/*
	 * The record, which is a root, will be dropped.  The value is on this stack as well, but
	 * that may have been scanned already, so it is shaded.
	 */
	shade_root(value);
	tri_starting_joined(serial);
	if (result)
		*result = value;
	return 0;
}

TRI_EXPORT int pthread_join(pthread_t thread, void **result)
{
	return tri_pthread_join(thread, result);
}

TRI_EXPORT int tri_pthread_detach(pthread_t thread)
{
	uint64_t serial = tri_starting_serial(thread);
	int err = REAL(pthread_detach)(thread);

	if (!err)
		tri_starting_joined(serial);
	return err;
}

TRI_EXPORT int pthread_detach(pthread_t thread)
{
	return tri_pthread_detach(thread);
}
