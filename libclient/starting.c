// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * starting.c - threads from their creation to their join
 *
 *	pthread_create, thrd_create	the new thread is attached before it runs; until then its argument
 *					is a root, and so is what it returns until it is joined
 *	pthread_exit, _join, _detach	for that result
 *
 * All of these stand in front of the C library's, and have a second name, tri_pthread_create and so
 * on, which tricolor.h gives to them where the C library may come first.
 */
#include <errno.h>
#include <stdlib.h>
#include <threads.h>

#include "../core/heap/layout.h"
#include "../core/system/point.h"
#include "attributes.h"
#include "shade.h"
#include "init.h"
#include "inside.h"
#include "real.h"
#include "scan.h"
#include "starting.h"
#include "state.h"
#include "thread.h"
#include "tricolor.h"

/* A thread from its creation to its end, or to its join. */
struct starting {
	void *(*fn)(void *);
	void *arg;			/* root until the thread is attached */
	void *result;			/* root until it is joined */
	pthread_t thread;
	uint64_t serial;		/* a pthread_t is used again */
	bool joinable, ended;
	struct starting *next, **prev;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct starting *startings;			/* lock */
static uint64_t serials;				/* lock */
static __thread struct starting *self __attribute__((tls_model("initial-exec")));

static void add(struct starting *s)
{
	pthread_mutex_lock(&lock);
	s->serial = ++serials;
	s->next = startings;
	s->prev = &startings;
	if (s->next)
		s->next->prev = &s->next;
	startings = s;
	pthread_mutex_unlock(&lock);
}

/* lock */
static void drop(struct starting *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	free(s);
}

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

/* The thread is over: its record stays for the result if somebody may ask for it. */
static void ended(void *result)
{
	struct starting *s = self;

	if (!s)
		return;
	(tri_store)(&s->result, result);
	pthread_mutex_lock(&lock);
	s->ended = true;
	self = NULL;
	if (!s->joinable)
		drop(s);
	pthread_mutex_unlock(&lock);
}

/* Cancelled, or ended by a function that we do not stand in front of. */
static void cut_short(void *unused)
{
	(void)unused;
	ended(NULL);
}

static void *run(void *arg)
{
	struct starting *s = arg;
	void *volatile user_arg;
	void *result;

	TRI_POINT("starting.begins");
	tri_begun_here = true;
	TRI_POINT("starting.runs");
	user_arg = s->arg;
	self = s;
	tri_thread_attach();
	/* The argument is on this stack now; deleting the root shades it. */
	(tri_store)(&s->arg, NULL);
	pthread_cleanup_push(cut_short, NULL);
	result = s->fn(user_arg);
	ended(result);
	pthread_cleanup_pop(0);
	return result;
}

/* A record of an older thread with this identity was never joined through us. */
static void forget_namesakes(struct starting *keep)
{
	struct starting *s, *next;

	for (s = startings; s; s = next) {
		next = s->next;
		if (s != keep && s->ended && pthread_equal(s->thread, keep->thread))
			drop(s);
	}
}

static int create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct starting *s = calloc(1, sizeof(*s));
	int detached = PTHREAD_CREATE_JOINABLE, err;

	if (!s)
		return EAGAIN;
	/* Of a forked child, before it has a second thread: see take_over() in agent.c. */
	if (tri_is_ready())
		tri_agent_ensure();
	if (attr)
		pthread_attr_getdetachstate(attr, &detached);
	s->fn = fn;
	s->arg = arg;
	s->joinable = detached == PTHREAD_CREATE_JOINABLE;
	/* A root from here on; shaded, as the scan of the roots may be over. */
	add(s);
	shade_root(arg);
	pthread_mutex_lock(&lock);
	err = REAL(pthread_create)(thread, attr, run, s);
	if (err) {
		drop(s);
	} else if (s->joinable) {
		s->thread = *thread;
		forget_namesakes(s);
	}
	pthread_mutex_unlock(&lock);
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

/* The record of a thread that may still be joined; 0: none. */
static uint64_t serial_of(pthread_t thread)
{
	uint64_t serial = 0;
	struct starting *s;

	pthread_mutex_lock(&lock);
	for (s = startings; s && !serial; s = s->next)
		if (s->joinable && pthread_equal(s->thread, thread))
			serial = s->serial;
	pthread_mutex_unlock(&lock);
	return serial;
}

static void joined(uint64_t serial)
{
	struct starting *s;

	pthread_mutex_lock(&lock);
	for (s = startings; s; s = s->next) {
		if (s->serial == serial) {
			if (s->ended)
				drop(s);
			else
				s->joinable = false;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

TRI_EXPORT int tri_pthread_join(pthread_t thread, void **result)
{
	uint64_t serial = serial_of(thread);
	void *value = NULL;
	int err = REAL(pthread_join)(thread, &value);

	if (err)
		return err;
	/* The record, a root, goes; the value is on this stack, which may have been scanned. */
	shade_root(value);
	joined(serial);
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
	uint64_t serial = serial_of(thread);
	int err = REAL(pthread_detach)(thread);

	if (!err)
		joined(serial);
	return err;
}

TRI_EXPORT int pthread_detach(pthread_t thread)
{
	return tri_pthread_detach(thread);
}

/* Whether @start is the routine that our functions have threads begin with. */
bool tri_starts_threads(uintptr_t start)
{
	return start == (uintptr_t)run;
}

/* Agent.  When all threads are stopped one of them may have the lock. */
void tri_starting_scan(struct tri_thread *to, bool all)
{
	struct starting *s;

	if (all ? pthread_mutex_trylock(&lock) : pthread_mutex_lock(&lock))
		return;
	for (s = startings; s; s = s->next)
		tri_scan_range(to, (uintptr_t)&s->arg, (uintptr_t)(&s->result + 1), all);
	pthread_mutex_unlock(&lock);
}

/* A forked child has one thread, and none of the heap. */
void tri_starting_reset(void)
{
	pthread_mutex_init(&lock, NULL);
	startings = NULL;
	self = NULL;
}
