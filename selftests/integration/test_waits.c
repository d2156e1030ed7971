// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_waits.c - threads that wait in system calls, each with the only pointer to some object
 *
 * Cycles must neither lose what they hold nor wait for them, and no call of theirs may fail because
 * of a cycle.
 */
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "lib/threads.h"

#define ID(n) (0x7e57000000000000ull + (uint64_t)(n))

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

int main(void)
{
	ksft_print_header();
	ksft_set_plan(1);
	ksft_test_result(test_sleeping(), "threads in %zu kinds of waits\n", SLEEPERS);
	ksft_finished();
}
