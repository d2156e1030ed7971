// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * interpose.c - C library functions that the library stands in front of
 *
 *	pthread_create, thrd_create	the new thread is attached before it runs; until then its argument
 *					is a root, and so is what it returns until it is joined
 *	pthread_exit, _join, _detach	for that result
 *	pthread_sigmask, sigprocmask	the handshake signal can't be blocked
 *	poll, select, epoll_wait, …	are blocking regions: they would return EINTR after a handshake
 *					signal, SA_RESTART or not
 *	longjmp				out of a blocking region ends it
 *	dlclose				no thread's rseq area may name a sequence that is unmapped
 *
 * (sigaction and signal are in signal.c.)
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <threads.h>
#include <time.h>

#include "internal.h"

/* The next definition of the function that this is written in. */
#define REAL(name)							\
	({								\
		static __typeof__(&name) real;				\
		__typeof__(&name) fn = __atomic_load_n(&real, __ATOMIC_RELAXED); \
									\
		if (!fn) {						\
			fn = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
			__atomic_store_n(&real, fn, __ATOMIC_RELAXED);	\
		}							\
		fn;							\
	})

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

int tri_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg)
{
	return REAL(pthread_create)(thread, attr, fn, arg);
}

int tri_real_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return REAL(sigaction)(sig, act, old);
}

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
	struct tri_thread *t = tri__tls.thread ? tri_enter() : NULL;

	if (!t)
		return;
	if (tri_read(&t->marking))
		tri_shade(t, pointer);
	tri_leave(t);
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
	void *volatile user_arg = s->arg;
	void *result;

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
	if (attr)
		pthread_attr_getdetachstate(attr, &detached);
	s->fn = fn;
	s->arg = arg;
	s->joinable = detached == PTHREAD_CREATE_JOINABLE;
	/* A root from here on; shaded, as the scan of the roots may be over. */
	add(s);
	shade_root(arg);
	pthread_mutex_lock(&lock);
	err = tri_real_pthread_create(thread, attr, run, s);
	if (err) {
		drop(s);
	} else if (s->joinable) {
		s->thread = *thread;
		forget_namesakes(s);
	}
	pthread_mutex_unlock(&lock);
	return err;
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

TRI_EXPORT int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
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

TRI_EXPORT void pthread_exit(void *result)
{
	ended(result);
	tri_thread_exiting();
	REAL(pthread_exit)(result);
	__builtin_unreachable();
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

TRI_EXPORT int pthread_join(pthread_t thread, void **result)
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

TRI_EXPORT int pthread_detach(pthread_t thread)
{
	uint64_t serial = serial_of(thread);
	int err = REAL(pthread_detach)(thread);

	if (!err)
		joined(serial);
	return err;
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

/* A set without the handshake signal, when signals are being blocked. */
static const sigset_t *keep_open(int how, const sigset_t *set, sigset_t *copy)
{
	if (!set || how == SIG_UNBLOCK)
		return set;
	*copy = *set;
	/* Before the heap starts as well: the thread may hold objects later. */
	sigdelset(copy, tri_g.settings.signal ? tri_g.settings.signal : SIGURG);
	return copy;
}

TRI_EXPORT int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	sigset_t copy;

	return REAL(pthread_sigmask)(how, keep_open(how, set, &copy), old);
}

TRI_EXPORT int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	sigset_t copy;

	return REAL(sigprocmask)(how, keep_open(how, set, &copy), old);
}

TRI_EXPORT int dlclose(void *handle)
{
	if (tri_read(&tri_g.state) == TRI_STATE_READY)
		tri_fence_unload();
	return REAL(dlclose)(handle);
}

static void leave_region(void *unused)
{
	(void)unused;
	tri_blocking_exit();
}

/* The call is a blocking region, also when the thread is cancelled in it. */
#define BLOCKING(call)							\
	do {								\
		__typeof__(call) result_;				\
		int errno_;						\
									\
		tri_blocking_enter();					\
		pthread_cleanup_push(leave_region, NULL);		\
		result_ = call;						\
		errno_ = errno;						\
		pthread_cleanup_pop(1);					\
		errno = errno_;						\
		return result_;						\
	} while (0)

/*
 * A jump in a signal handler that interrupted a blocking call leaves it without its end.  One that stays
 * inside the handler ends the region early, which costs a signal and nothing else.
 */
static void jump(void)
{
	struct tri_thread *t = tri__tls.thread;

	if (!t || !t->blocking_depth || t->depth)
		return;
	t->blocking_depth = 0;
	tri_thread_unblock(t);
}

TRI_EXPORT void longjmp(jmp_buf env, int value)
{
	jump();
	REAL(longjmp)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT void _longjmp(jmp_buf env, int value)
{
	jump();
	REAL(_longjmp)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT void siglongjmp(sigjmp_buf env, int value)
{
	jump();
	REAL(siglongjmp)(env, value);
	__builtin_unreachable();
}

void __longjmp_chk(jmp_buf env, int value) __attribute__((noreturn));

/* What _FORTIFY_SOURCE makes of them. */
TRI_EXPORT void __longjmp_chk(jmp_buf env, int value)
{
	jump();
	REAL(__longjmp_chk)(env, value);
	__builtin_unreachable();
}

TRI_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	BLOCKING(REAL(poll)(fds, n, timeout));
}

TRI_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		     const sigset_t *mask)
{
	BLOCKING(REAL(ppoll)(fds, n, timeout, mask));
}

TRI_EXPORT int select(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
		      struct timeval *restrict timeout)
{
	BLOCKING(REAL(select)(n, r, w, e, timeout));
}

TRI_EXPORT int pselect(int n, fd_set *restrict r, fd_set *restrict w, fd_set *restrict e,
		       const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	BLOCKING(REAL(pselect)(n, r, w, e, timeout, mask));
}

TRI_EXPORT int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
	BLOCKING(REAL(epoll_wait)(epfd, events, n, timeout));
}

TRI_EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int n, int timeout,
			   const sigset_t *mask)
{
	BLOCKING(REAL(epoll_pwait)(epfd, events, n, timeout, mask));
}

TRI_EXPORT int nanosleep(const struct timespec *want, struct timespec *left)
{
	BLOCKING(REAL(nanosleep)(want, left));
}

TRI_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *want,
			       struct timespec *left)
{
	BLOCKING(REAL(clock_nanosleep)(clock, flags, want, left));
}

TRI_EXPORT int usleep(useconds_t us)
{
	BLOCKING(REAL(usleep)(us));
}

TRI_EXPORT unsigned int sleep(unsigned int seconds)
{
	BLOCKING(REAL(sleep)(seconds));
}

TRI_EXPORT int pause(void)
{
	BLOCKING(REAL(pause)());
}

TRI_EXPORT int sigsuspend(const sigset_t *mask)
{
	BLOCKING(REAL(sigsuspend)(mask));
}

/* These would take the handshake signal away from its handler. */
TRI_EXPORT int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info,
			    const struct timespec *restrict timeout)
{
	sigset_t copy;

	BLOCKING(REAL(sigtimedwait)(keep_open(SIG_BLOCK, set, &copy), info, timeout));
}

TRI_EXPORT int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict info)
{
	sigset_t copy;

	BLOCKING(REAL(sigwaitinfo)(keep_open(SIG_BLOCK, set, &copy), info));
}

TRI_EXPORT int sigwait(const sigset_t *restrict set, int *restrict sig)
{
	sigset_t copy;

	BLOCKING(REAL(sigwait)(keep_open(SIG_BLOCK, set, &copy), sig));
}

TRI_EXPORT int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until)
{
	BLOCKING(REAL(sem_timedwait)(sem, until));
}

TRI_EXPORT int sem_clockwait(sem_t *restrict sem, clockid_t clock,
			     const struct timespec *restrict until)
{
	BLOCKING(REAL(sem_clockwait)(sem, clock, until));
}
