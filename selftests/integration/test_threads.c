// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_threads.c - threads of every sort, each with the only pointer to some object
 *
 * In loops that never call the library, in system calls, starting, ending, being cancelled,
 * jumping, on signal stacks, with all signals blocked, made behind the library's back: cycles must
 * neither lose what they hold nor wait for them, and no call of theirs may fail because of a cycle.
 */
#include <dlfcn.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>

#include "lib/witness.h"

#define ID(n) (0x7e57000000000000ull + (uint64_t)(n))

static void must(int err, const char *what)
{
	if (err)
		ksft_exit_fail_msg("%s: %s\n", what, strerror(err));
}

static pthread_t start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, fn, arg), "pthread_create");
	return thread;
}

static bool threads_are(uint64_t want)
{
	uint64_t end = now_ns() + 10000000000ull;

	/* A thread is joined a little before the kernel has taken it away. */
	while (read_stats().threads != want) {
		if (now_ns() > end) {
			ksft_print_msg("%llu threads attached, want %llu\n",
				       (unsigned long long)read_stats().threads,
				       (unsigned long long)want);
			return false;
		}
		collect();
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* In registers                                                                               */
/* ------------------------------------------------------------------------------------------ */

#define REGISTERS 15			/* all general ones but rsp */

/*
 * hold_in_registers(hidden): the inverses of hidden[0] .. hidden[14] are in general registers, and
 * nowhere else, while the loop runs.
 */
void hold_in_registers(const uintptr_t *hidden);
struct event registers_held, registers_let_go;

__asm__(".pushsection .text\n"
	".type hold_in_registers, @function\n"
	"hold_in_registers:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov 0(%rdi), %rax\n\tnot %rax\n\t"
	"mov 8(%rdi), %rbx\n\tnot %rbx\n\t"
	"mov 16(%rdi), %rcx\n\tnot %rcx\n\t"
	"mov 24(%rdi), %rdx\n\tnot %rdx\n\t"
	"mov 32(%rdi), %rsi\n\tnot %rsi\n\t"
	"mov 40(%rdi), %rbp\n\tnot %rbp\n\t"
	"mov 48(%rdi), %r8\n\tnot %r8\n\t"
	"mov 56(%rdi), %r9\n\tnot %r9\n\t"
	"mov 64(%rdi), %r10\n\tnot %r10\n\t"
	"mov 72(%rdi), %r11\n\tnot %r11\n\t"
	"mov 80(%rdi), %r12\n\tnot %r12\n\t"
	"mov 88(%rdi), %r13\n\tnot %r13\n\t"
	"mov 96(%rdi), %r14\n\tnot %r14\n\t"
	"mov 104(%rdi), %r15\n\tnot %r15\n\t"
	"mov 112(%rdi), %rdi\n\tnot %rdi\n\t"
	"movl $1, registers_held(%rip)\n"
	"1:\n\tpause\n\tcmpl $0, registers_let_go(%rip)\n\tje 1b\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
	"ret\n\t"
	".size hold_in_registers, . - hold_in_registers\n"
	".popsection\n");

static uintptr_t in_register[REGISTERS];
static tri_handle *until_held[REGISTERS];

static NOINLINE void make_for_registers(void)
{
	int i;

	for (i = 0; i < REGISTERS; i++) {
		struct witness *w = witness_new(ID(i));

		in_register[i] = hide(w);
		until_held[i] = tri_handle_new(w);
	}
}

static void *register_thread(void *unused)
{
	hold_in_registers(in_register);
	return unused;
}

static bool test_registers(void)
{
	pthread_t thread;
	bool ok = true;
	int i;

	make_for_registers();
	thread = start_thread(register_thread, NULL);
	while (!event_is_set(&registers_held))
		sched_yield();
	for (i = 0; i < REGISTERS; i++)
		tri_handle_free(until_held[i]);
	collect_times(3);
	for (i = 0; i < REGISTERS; i++) {
		if (!hidden_ok(in_register[i], ID(i))) {
			ksft_print_msg("what register %d held is gone\n", i);
			ok = false;
		}
	}
	event_set(&registers_let_go);
	pthread_join(thread, NULL);
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* In a loop                                                                                  */
/* ------------------------------------------------------------------------------------------ */

#define SPINNERS 4

struct spinner {
	struct event ready, stop;
	uint64_t id;
	uintptr_t hidden;
	bool ok;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;
	struct witness *w = witness_new(s->id);

	s->hidden = hide(w);
	event_set(&s->ready);
	while (!event_is_set(&s->stop))
		__asm__ volatile("pause" : "+r"(w));
	s->ok = witness_ok(w, s->id);
	return NULL;
}

static bool test_spinning(void)
{
	static struct spinner s[SPINNERS];
	pthread_t thread[SPINNERS];
	bool ok = true;
	int i;

	for (i = 0; i < SPINNERS; i++) {
		s[i].id = ID(100 + i);
		thread[i] = start_thread(spin, &s[i]);
	}
	for (i = 0; i < SPINNERS; i++)
		event_wait(&s[i].ready);
	collect_times(10);
	for (i = 0; i < SPINNERS; i++) {
		event_set(&s[i].stop);
		pthread_join(thread[i], NULL);
		ok = ok && s[i].ok;
	}
	/* And when nobody holds them any more, they go. */
	collect_times(2);
	for (i = 0; i < SPINNERS; i++) {
		if (is_object(s[i].hidden)) {
			ksft_print_msg("the object of a thread that ended is still there\n");
			ok = false;
		}
	}
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* In system calls                                                                            */
/* ------------------------------------------------------------------------------------------ */

#define NAP_NS 200000000ll

struct sleeper {
	const char *name;
	long (*wait)(struct sleeper *s);	/* its result; s->want if all went well */
	void (*wake)(struct sleeper *s);	/* NULL: wakes by itself */
	long want;

	int fd[2];
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool woken;
	sem_t sem;
	struct event ready, done;
	pid_t tid;
	int error;
	uintptr_t hidden;
	long result;
	bool ok;
};

static long wait_read(struct sleeper *s)
{
	char c;

	return read(s->fd[0], &c, 1);
}

static long wait_recv(struct sleeper *s)
{
	char c;

	return recv(s->fd[0], &c, 1, 0);
}

static long wait_poll(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };

	return poll(&p, 1, -1);
}

static long wait_ppoll(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };
	struct timespec minute = { 60, 0 };
	sigset_t all;

	sigfillset(&all);
	return ppoll(&p, 1, &minute, &all);
}

static long wait_select(struct sleeper *s)
{
	struct timeval minute = { 60, 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd[0], &set);
	return select(s->fd[0] + 1, &set, NULL, NULL, &minute);
}

static long wait_pselect(struct sleeper *s)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd[0], &set);
	return pselect(s->fd[0] + 1, &set, NULL, NULL, NULL, NULL);
}

static long epoll_on(struct sleeper *s, bool with_mask)
{
	struct epoll_event e = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	sigset_t none;
	long n;

	sigemptyset(&none);
	epoll_ctl(epfd, EPOLL_CTL_ADD, s->fd[0], &e);
	n = with_mask ? epoll_pwait(epfd, &e, 1, -1, &none) : epoll_wait(epfd, &e, 1, 60000);
	s->error = errno;
	close(epfd);
	return n;
}

static long wait_epoll(struct sleeper *s)
{
	return epoll_on(s, false);
}

static long wait_epoll_pwait(struct sleeper *s)
{
	return epoll_on(s, true);
}

static void write_byte(struct sleeper *s)
{
	if (write(s->fd[1], "x", 1) != 1)
		ksft_exit_fail_msg("write: %s\n", strerror(errno));
}

/* 0 if the nap was whole. */
static long napped(uint64_t began, int err)
{
	return err ? err : now_ns() - began >= NAP_NS ? 0 : 1;
}

static long wait_nanosleep(struct sleeper *s)
{
	struct timespec nap = { 0, NAP_NS };
	uint64_t began = now_ns();

	(void)s;
	return napped(began, nanosleep(&nap, NULL));
}

static long wait_clock_nanosleep(struct sleeper *s)
{
	uint64_t began = now_ns(), end = began + NAP_NS;
	struct timespec until = { (time_t)(end / 1000000000), (long)(end % 1000000000) };

	(void)s;
	return napped(began, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
}

static long wait_usleep(struct sleeper *s)
{
	uint64_t began = now_ns();

	(void)s;
	return napped(began, usleep(NAP_NS / 1000));
}

static long wait_sleep(struct sleeper *s)
{
	(void)s;
	return sleep(1);
}

static long wait_cond(struct sleeper *s)
{
	long err = 0;

	pthread_mutex_lock(&s->mutex);
	while (!s->woken && !err)
		err = pthread_cond_wait(&s->cond, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
	return err;
}

static long wait_cond_timed(struct sleeper *s)
{
	struct timespec until;
	long err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&s->mutex);
	while (!s->woken && !err)
		err = pthread_cond_timedwait(&s->cond, &s->mutex, &until);
	pthread_mutex_unlock(&s->mutex);
	return err;
}

static void wake_cond(struct sleeper *s)
{
	pthread_mutex_lock(&s->mutex);
	s->woken = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->mutex);
}

static long wait_sem(struct sleeper *s)
{
	return sem_wait(&s->sem);
}

static long wait_sem_timed(struct sleeper *s)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	return sem_timedwait(&s->sem, &until);
}

static void wake_sem(struct sleeper *s)
{
	sem_post(&s->sem);
}

/* A region of the program's own, around a call that the library does not know; nested. */
static long wait_region(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };
	long n;

	tri_blocking_enter();
	tri_blocking_enter();
	n = syscall(SYS_poll, &p, 1, -1);
	s->error = errno;
	tri_blocking_exit();
	tri_blocking_exit();
	return n;
}

static struct sleeper sleepers[] = {
	{ .name = "read", .wait = wait_read, .wake = write_byte, .want = 1 },
	{ .name = "recv", .wait = wait_recv, .wake = write_byte, .want = 1 },
	{ .name = "poll", .wait = wait_poll, .wake = write_byte, .want = 1 },
	{ .name = "ppoll", .wait = wait_ppoll, .wake = write_byte, .want = 1 },
	{ .name = "select", .wait = wait_select, .wake = write_byte, .want = 1 },
	{ .name = "pselect", .wait = wait_pselect, .wake = write_byte, .want = 1 },
	{ .name = "epoll_wait", .wait = wait_epoll, .wake = write_byte, .want = 1 },
	{ .name = "epoll_pwait", .wait = wait_epoll_pwait, .wake = write_byte, .want = 1 },
	{ .name = "nanosleep", .wait = wait_nanosleep },
	{ .name = "clock_nanosleep", .wait = wait_clock_nanosleep },
	{ .name = "usleep", .wait = wait_usleep },
	{ .name = "sleep", .wait = wait_sleep },
	{ .name = "pthread_cond_wait", .wait = wait_cond, .wake = wake_cond },
	{ .name = "pthread_cond_timedwait", .wait = wait_cond_timed, .wake = wake_cond },
	{ .name = "sem_wait", .wait = wait_sem, .wake = wake_sem },
	{ .name = "sem_timedwait", .wait = wait_sem_timed, .wake = wake_sem },
	{ .name = "a blocking region", .wait = wait_region, .wake = write_byte, .want = 1 },
};

#define SLEEPERS (sizeof(sleepers) / sizeof(sleepers[0]))

static void *fall_asleep(void *arg)
{
	struct sleeper *s = arg;
	uint64_t id = ID(200 + (s - sleepers));
	struct witness *w = witness_new(id);

	s->hidden = hide(w);
	s->tid = gettid();
	event_set(&s->ready);
	errno = 0;
	s->result = s->wait(s);
	if (!s->error)
		s->error = errno;
	__asm__ volatile("" : "+r"(w));
	s->ok = witness_ok(w, id);
	event_set(&s->done);
	return NULL;
}

static bool test_sleeping(void)
{
	pthread_t thread[SLEEPERS];
	bool ok = true;
	size_t i;

	for (i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fd))
			ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
		pthread_mutex_init(&s->mutex, NULL);
		pthread_cond_init(&s->cond, NULL);
		sem_init(&s->sem, 0, 0);
		thread[i] = start_thread(fall_asleep, s);
	}
	for (i = 0; i < SLEEPERS; i++)
		event_wait(&sleepers[i].ready);
	collect_times(3);
	for (i = 0; i < SLEEPERS; i++)
		if (sleepers[i].wake)
			wait_asleep(sleepers[i].tid, &sleepers[i].done);
	collect_times(5);
	for (i = 0; i < SLEEPERS; i++)
		if (sleepers[i].wake)
			sleepers[i].wake(&sleepers[i]);
	for (i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		pthread_join(thread[i], NULL);
		close(s->fd[0]);
		close(s->fd[1]);
		if (s->result != s->want || !s->ok) {
			ksft_print_msg("%s: result %ld (%s), want %ld; its object is %s\n", s->name,
				       s->result, strerror(s->error), s->want,
				       s->ok ? "there" : "gone");
			ok = false;
		}
	}
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* Starting and ending                                                                        */
/* ------------------------------------------------------------------------------------------ */

static struct event churn_stop;

/* Cycle after cycle. */
static void *churn(void *unused)
{
	while (!event_is_set(&churn_stop))
		collect();
	return unused;
}

/* Keeps a CPU busy, so that a thread that was made does not run at once. */
static void *burn(void *unused)
{
	while (!event_is_set(&churn_stop))
		;
	return unused;
}

/* Gets a witness as its argument, gives its successor back. */
static void *relay(void *arg)
{
	struct witness *w = arg;

	if (!witness_ok(w, w->id))
		return NULL;
	return witness_new(w->id + 1);
}

#define SHORT_THREADS 500

static bool test_short_threads(void)
{
	uint64_t before, began = now_ns(), id = ID(1000);
	pthread_t churner, burner[2], thread[10];
	bool ok = true;
	int i, j;

	memset(&churn_stop, 0, sizeof(churn_stop));
	before = read_stats().cycles;
	churner = start_thread(churn, NULL);
	burner[0] = start_thread(burn, NULL);
	burner[1] = start_thread(burn, NULL);
	/* More of them where a busy machine makes cycles slow. */
	for (i = 0; ok && (i < SHORT_THREADS / 10 || (read_stats().cycles < before + 10 &&
						      now_ns() - began < 8000000000ull)); i++) {
		for (j = 0; j < 10; j++)
			thread[j] = start_thread(relay, witness_new(id + (uint64_t)j * 10));
		for (j = 0; j < 10; j++) {
			void *result;

			pthread_join(thread[j], &result);
			ok = ok && result && witness_ok(result, id + (uint64_t)j * 10 + 1);
		}
		id += 100;
	}
	event_set(&churn_stop);
	pthread_join(churner, NULL);
	pthread_join(burner[0], NULL);
	pthread_join(burner[1], NULL);
	ksft_print_msg("%d threads in %llu cycles\n", i * 10,
		       (unsigned long long)(read_stats().cycles - before));
	return ok && read_stats().cycles - before >= 5 && threads_are(1);
}

struct ending {
	struct event ready;
	pid_t tid;
	uint64_t id;
	uintptr_t hidden;
	bool by_exit;
};

static NOINLINE void *end_with_witness(struct ending *e)
{
	struct witness *w = witness_new(e->id);

	e->hidden = hide(w);
	return w;
}

static void *ending_thread(void *arg)
{
	struct ending *e = arg;

	e->tid = gettid();
	event_set(&e->ready);
	if (e->by_exit)
		pthread_exit(end_with_witness(e));
	return end_with_witness(e);
}

/* The result of a thread that has ended is held by nothing but the thread library. */
static bool test_result(bool by_exit)
{
	struct ending e = { .id = ID(3000 + by_exit), .by_exit = by_exit };
	pthread_t thread = start_thread(ending_thread, &e);
	void *result = NULL;
	bool ok;

	event_wait(&e.ready);
	wait_gone(e.tid);
	collect_times(3);
	ok = hidden_ok(e.hidden, e.id);
	pthread_join(thread, &result);
	ok = ok && witness_ok(result, e.id);
	result = NULL;
	collect_times(3);
	/* Joined, and forgotten: nothing holds it any more. */
	return ok && !is_object(e.hidden);
}

static struct {
	struct event started, go;
	uint64_t id;
	bool ok;
} c11;

static int c11_thread(void *arg)
{
	struct witness *w = arg;

	event_set(&c11.started);
	event_wait(&c11.go);
	return witness_ok(w, c11.id) ? 42 : 1;
}

static bool test_c11(void)
{
	thrd_t thread;
	int result = 0;

	c11.id = ID(4000);
	if (thrd_create(&thread, c11_thread, witness_new(c11.id)) != thrd_success)
		return false;
	collect_times(2);
	event_wait(&c11.started);
	collect_times(2);
	event_set(&c11.go);
	return thrd_join(thread, &result) == thrd_success && result == 42;
}

static struct {
	struct event started, go, done;
	uint64_t id;
	bool ok;
} detached;

static void *detached_thread(void *arg)
{
	struct witness *w = arg;

	event_set(&detached.started);
	event_wait(&detached.go);
	detached.ok = witness_ok(w, detached.id);
	event_set(&detached.done);
	return w;
}

static bool test_detached(bool from_start)
{
	pthread_attr_t attr;
	pthread_t thread;

	memset(&detached, 0, sizeof(detached));
	detached.id = ID(5000 + from_start);
	pthread_attr_init(&attr);
	if (from_start)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	must(pthread_create(&thread, &attr, detached_thread, witness_new(detached.id)),
	     "pthread_create");
	pthread_attr_destroy(&attr);
	if (!from_start)
		pthread_detach(thread);
	collect_times(2);
	event_wait(&detached.started);
	collect_times(2);
	event_set(&detached.go);
	event_wait(&detached.done);
	return detached.ok && threads_are(1);
}

/* ------------------------------------------------------------------------------------------ */
/* Cancellation, jumps                                                                        */
/* ------------------------------------------------------------------------------------------ */

static struct {
	struct event ready;
	pid_t tid;
	int fd[2];
	bool in_read;
	uint64_t id;
	bool ok;
} cancelled;

static void cancel_cleanup(void *arg)
{
	struct witness *more = NULL;
	int i;

	/* The thread can use the heap again. */
	for (i = 0; i < 1000; i++) {
		struct witness *w = witness_new((uint64_t)i);

		tri_store(&w->next, more);
		more = w;
		if (i % 100 == 0)
			collect();
	}
	for (i = 999; i >= 0; i--, more = more->next)
		if (!witness_ok(more, (uint64_t)i))
			return;
	cancelled.ok = witness_ok(arg, cancelled.id);
}

static void *cancelled_thread(void *unused)
{
	struct pollfd p = { .fd = cancelled.fd[0], .events = POLLIN };
	char c;

	(void)unused;
	pthread_cleanup_push(cancel_cleanup, witness_new(cancelled.id));
	cancelled.tid = gettid();
	event_set(&cancelled.ready);
	if (cancelled.in_read)
		(void)!read(cancelled.fd[0], &c, 1);
	else
		poll(&p, 1, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

static bool test_cancel(bool in_read)
{
	pthread_t thread;
	void *result;

	memset(&cancelled, 0, sizeof(cancelled));
	cancelled.id = ID(6000 + in_read);
	cancelled.in_read = in_read;
	if (pipe2(cancelled.fd, O_CLOEXEC))
		return false;
	thread = start_thread(cancelled_thread, NULL);
	event_wait(&cancelled.ready);
	wait_asleep(cancelled.tid, NULL);
	collect_times(3);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	close(cancelled.fd[0]);
	close(cancelled.fd[1]);
	collect();
	return result == PTHREAD_CANCELED && cancelled.ok && threads_are(1);
}

static jmp_buf jump_back;

static NOINLINE void dive(int depth, struct witness *w)
{
	volatile char frame[200];

	frame[0] = (char)depth;
	if (depth % 8 == 0)
		collect();
	if (depth < 40)
		dive(depth + 1, w);
	else if (w)
		longjmp(jump_back, 1);
	tri_keep_alive(w);
	frame[1] = frame[0];
}

static bool test_longjmp(void)
{
	struct witness *volatile mine = witness_new(ID(7000));
	int round;

	for (round = 0; round < 5; round++) {
		if (!setjmp(jump_back))
			dive(0, witness_new(ID(7001)));
		collect_times(2);
		if (!witness_ok(mine, ID(7000)))
			return false;
	}
	return true;
}

/* The way to put a time limit on a call since signals exist: jump out of it in the handler. */
static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t may_escape;

static void on_escape(int sig)
{
	(void)sig;
	if (may_escape)
		siglongjmp(escape, 1);
}

static struct {
	struct event ready, out, stop;
	pid_t tid;
	bool ok;
	uintptr_t hidden;
} escaped;

/* A frame below the one that polled, so that a stale stack pointer would not cover it. */
static NOINLINE bool spin_deeper(void)
{
	volatile char room[4096];
	struct witness *w = witness_new(ID(7100));

	room[0] = 0;
	escaped.hidden = hide(w);
	event_set(&escaped.out);
	while (!event_is_set(&escaped.stop))
		__asm__ volatile("pause" : "+r"(w) : : "memory");
	return witness_ok(w, ID(7100)) && !room[0];
}

static void *escaping_thread(void *unused)
{
	struct timespec long_time = { 60, 0 };

	(void)unused;
	escaped.tid = gettid();
	if (!sigsetjmp(escape, 1)) {
		may_escape = 1;
		event_set(&escaped.ready);
		nanosleep(&long_time, NULL);
		return NULL;
	}
	may_escape = 0;
	escaped.ok = spin_deeper();
	return NULL;
}

static bool test_siglongjmp(void)
{
	struct sigaction act = { .sa_handler = on_escape };
	pthread_t thread;

	sigaction(SIGUSR2, &act, NULL);
	thread = start_thread(escaping_thread, NULL);
	event_wait(&escaped.ready);
	wait_asleep(escaped.tid, NULL);
	collect();
	pthread_kill(thread, SIGUSR2);
	event_wait(&escaped.out);
	collect_times(3);
	event_set(&escaped.stop);
	pthread_join(thread, NULL);
	return escaped.ok;
}

/* ------------------------------------------------------------------------------------------ */
/* Signals and stacks                                                                         */
/* ------------------------------------------------------------------------------------------ */

static struct {
	struct event ready, handling, stop;
	uintptr_t below, above;		/* what the interrupted code and what the handler holds */
	tri_handle *handle;
	bool ok;
} on_altstack;

static void altstack_handler(int sig)
{
	struct witness *w = reveal(on_altstack.above);

	(void)sig;
	event_set(&on_altstack.handling);
	while (!event_is_set(&on_altstack.stop))
		__asm__ volatile("pause" : "+r"(w));
	tri_keep_alive(w);
}

static NOINLINE void make_for_handler(void)
{
	struct witness *w = witness_new(ID(8000));

	on_altstack.above = hide(w);
	on_altstack.handle = tri_handle_new(w);
}

static void *altstack_thread(void *unused)
{
	size_t bytes = 64 << 10;
	stack_t alt = { .ss_size = bytes }, off = { .ss_flags = SS_DISABLE };
	struct witness *w;

	alt.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&alt, NULL);
	w = witness_new(ID(8001));
	on_altstack.below = hide(w);
	event_set(&on_altstack.ready);
	while (!event_is_set(&on_altstack.stop))
		__asm__ volatile("pause" : "+r"(w));
	on_altstack.ok = witness_ok(w, ID(8001));
	sigaltstack(&off, NULL);
	munmap(alt.ss_sp, bytes);
	return unused;
}

static bool test_altstack(void)
{
	struct sigaction act = { .sa_handler = altstack_handler, .sa_flags = SA_ONSTACK };
	pthread_t thread;
	bool ok;

	sigfillset(&act.sa_mask);
	sigaction(SIGUSR1, &act, NULL);
	make_for_handler();
	thread = start_thread(altstack_thread, NULL);
	event_wait(&on_altstack.ready);
	pthread_kill(thread, SIGUSR1);
	event_wait(&on_altstack.handling);
	tri_handle_free(on_altstack.handle);
	collect_times(4);
	ok = hidden_ok(on_altstack.above, ID(8000)) && hidden_ok(on_altstack.below, ID(8001));
	event_set(&on_altstack.stop);
	pthread_join(thread, NULL);
	return ok && on_altstack.ok;
}

static struct spinner blocker;

static void *block_signals(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return spin(arg);
}

static bool test_signals_blocked(void)
{
	pthread_t thread;

	blocker.id = ID(8100);
	thread = start_thread(block_signals, &blocker);
	event_wait(&blocker.ready);
	collect_times(5);
	event_set(&blocker.stop);
	pthread_join(thread, NULL);
	return blocker.ok;
}

static struct {
	ucontext_t main, other;
	bool ok;
} coroutine;

static void run_coroutine(void)
{
	struct witness *w = witness_new(ID(8200));

	collect_times(3);
	coroutine.ok = witness_ok(w, ID(8200));
}

static bool test_coroutine(void)
{
	size_t bytes = 256 << 10;
	struct witness *w = witness_new(ID(8201));
	void *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	getcontext(&coroutine.other);
	coroutine.other.uc_stack.ss_sp = stack;
	coroutine.other.uc_stack.ss_size = bytes;
	coroutine.other.uc_link = &coroutine.main;
	makecontext(&coroutine.other, run_coroutine, 0);
	swapcontext(&coroutine.main, &coroutine.other);
	munmap(stack, bytes);
	__asm__ volatile("" : "+r"(w));
	return coroutine.ok && witness_ok(w, ID(8201));
}

/* ------------------------------------------------------------------------------------------ */
/* Behind the library's back                                                                  */
/* ------------------------------------------------------------------------------------------ */

static int (*libc_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int (*libc_pthread_join)(pthread_t, void **);

static struct event bystander_ready, bystander_stop;

static void *bystander(void *unused)
{
	event_set(&bystander_ready);
	while (!event_is_set(&bystander_stop))
		;
	return unused;
}

static struct spinner stranger[2];

static bool test_strangers(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	uint64_t threads = read_stats().threads;
	pthread_t thread[2], other;
	bool ok = true;
	int i;

	libc_pthread_create = (__typeof__(libc_pthread_create))dlsym(libc, "pthread_create");
	libc_pthread_join = (__typeof__(libc_pthread_join))dlsym(libc, "pthread_join");
	if (!libc_pthread_create || !libc_pthread_join || libc_pthread_create == pthread_create)
		return false;
	/* One that never calls the library is left alone. */
	must(libc_pthread_create(&other, NULL, bystander, NULL), "pthread_create");
	event_wait(&bystander_ready);
	for (i = 0; i < 2; i++) {
		stranger[i].id = ID(9000 + i);
		must(libc_pthread_create(&thread[i], NULL, spin, &stranger[i]), "pthread_create");
		event_wait(&stranger[i].ready);
	}
	ok = read_stats().threads == threads + 2;
	collect_times(4);
	for (i = 0; i < 2; i++) {
		event_set(&stranger[i].stop);
		libc_pthread_join(thread[i], NULL);
		ok = ok && stranger[i].ok;
	}
	event_set(&bystander_stop);
	libc_pthread_join(other, NULL);
	dlclose(libc);
	return ok && threads_are(threads);
}

/* Without destructors, cleanup handlers or anything else. */
static void *vanish(void *arg)
{
	spin(arg);
	syscall(SYS_exit, 0);
	return NULL;
}

static bool test_vanishing(void)
{
	static struct spinner s[4];
	uint64_t threads = read_stats().threads;
	pthread_t thread;
	int i;

	for (i = 0; i < 4; i++) {
		s[i].id = ID(9100 + i);
		thread = start_thread(vanish, &s[i]);
		pthread_detach(thread);
		event_wait(&s[i].ready);
	}
	collect_times(2);
	for (i = 0; i < 4; i++)
		event_set(&s[i].stop);
	return threads_are(threads);
}

/* ------------------------------------------------------------------------------------------ */
/* The main thread leaves first                                                               */
/* ------------------------------------------------------------------------------------------ */

static void *survive(void *arg)
{
	struct witness *w = arg, *list = NULL;
	int i;

	/* The main thread stays as a zombie, with its number, until the process ends. */
	for (i = 0; i < 200; i++) {
		struct witness *more = witness_new((uint64_t)i);

		tri_store(&more->next, list);
		list = more;
		if (i % 20 == 0)
			collect();
	}
	for (i = 199; i >= 0; i--, list = list->next)
		if (!witness_ok(list, (uint64_t)i))
			_exit(2);
	if (w && !witness_ok(w, ID(9200)))
		_exit(3);
	return NULL;
}

/* A program of its own: status 0 if it comes to its end by itself. */
static bool main_leaves(bool uses_heap_first)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		start_thread(survive, uses_heap_first ? witness_new(ID(9200)) : NULL);
		pthread_exit(NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("the process ended with wait status %#x\n", status);
	return status == 0;
}

/* Nobody but the main thread ever used the heap. */
static bool main_leaves_alone(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		witness_new(1);
		collect();
		pthread_exit(NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("the process ended with wait status %#x\n", status);
	return status == 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The C library's own                                                                        */
/* ------------------------------------------------------------------------------------------ */

static _Atomic int notified, notified_wrong;
static struct witness *notified_root;

static void be_notified(union sigval value)
{
	struct witness *own = witness_new(ID(901));
	volatile int i;

	for (i = 0; i < 30000; i++)
		;
	if (!witness_ok(own, ID(901)) || !witness_ok(value.sival_ptr, ID(900)))
		notified_wrong++;
	tri_store(&notified_root, own);
	notified++;
}

/*
 * Timers and message queues with SIGEV_THREAD have a thread of the C library's each, which has
 * blocked all signals, and begins others that call the program's function.
 */
static bool notifications(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD,
				  .sigev_notify_function = be_notified };
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } },
			  never = { { 0, 0 }, { 0, 0 } };
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	struct witness *volatile argument = witness_new(ID(900));
	bool ok = true;
	char name[32];
	timer_t timer;
	mqd_t queue;
	int i;

	event.sigev_value.sival_ptr = argument;
	snprintf(name, sizeof(name), "/tricolor-%d", (int)getpid());
	queue = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
	if (queue >= 0) {
		mq_unlink(name);
		ok &= !mq_notify(queue, &event);
	}
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL))
		return false;
	for (i = 0; i < 100; i++) {
		ok &= !tri_gc();
		ok &= !notified_root || witness_ok(notified_root, ID(901));
	}
	timer_settime(timer, 0, &never, NULL);
	if (queue >= 0)
		ok &= !mq_send(queue, "x", 1, 0);
	usleep(50000);
	ksft_print_msg("%d notifications\n", (int)notified);
	return ok && notified && !notified_wrong && witness_ok(argument, ID(900));
}

static bool test_notifications(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(60);
		_exit(!notifications());
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(23);

	if (UNDER_TSAN) {
		ksft_test_result_skip("registers: the thread sanitizer holds signals back\n");
		ksft_test_result_skip("loops: the thread sanitizer holds signals back\n");
	} else {
		ksft_test_result(test_registers(), "held in any general register\n");
		ksft_test_result(test_spinning(), "threads in loops that never call the library\n");
	}
	ksft_test_result(test_sleeping(), "threads in %zu kinds of waits\n", SLEEPERS);
	ksft_test_result(test_short_threads(), "%d short threads while cycles run\n",
			 SHORT_THREADS);
	ksft_test_result(test_result(false), "the result of a thread that returned\n");
	ksft_test_result(test_result(true), "the argument of pthread_exit()\n");
	ksft_test_result(test_c11(), "thrd_create()\n");
	ksft_test_result(test_detached(true), "a thread created detached\n");
	ksft_test_result(test_detached(false), "a thread detached later\n");
	ksft_test_result(test_cancel(false), "cancelled in poll()\n");
	ksft_test_result(test_cancel(true), "cancelled in read()\n");
	ksft_test_result(test_longjmp(), "longjmp()\n");
	if (UNDER_TSAN) {
		for (int i = 0; i < 3; i++)
			ksft_test_result_skip("the thread sanitizer holds signals back\n");
	} else {
		ksft_test_result(test_siglongjmp(), "siglongjmp() out of nanosleep()\n");
		ksft_test_result(test_altstack(), "a handler on an alternate signal stack\n");
		ksft_test_result(test_signals_blocked(), "a thread that blocks all signals\n");
	}
	ksft_test_result(test_coroutine(), "makecontext() and swapcontext()\n");
	if (UNDER_TSAN) {
		ksft_test_result_skip("the thread sanitizer needs its own pthread_create()\n");
		ksft_test_result_skip("the thread sanitizer needs threads to end properly\n");
		ksft_test_result_skip("the thread sanitizer holds signals back\n");
	} else {
		ksft_test_result(test_strangers(), "threads made behind the library's back\n");
		ksft_test_result(test_vanishing(), "threads that end without destructors\n");
		ksft_test_result(test_notifications(), "SIGEV_THREAD, timers and message queues\n");
	}
	ksft_test_result(main_leaves(true), "the main thread leaves before the others\n");
	ksft_test_result(main_leaves(false), "the same, and it never used the heap\n");
	ksft_test_result(main_leaves_alone(), "the main thread leaves, and there is no other\n");
	ksft_test_result(threads_are(1), "all others are gone\n");
	ksft_finished();
}
