// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_eintr.c - no call of a program without handlers returns EINTR because of a collection
 *
 * Each call blocks, by itself and by the bare system call, while another thread collects all the
 * time: it has to return what it returns without a collector.  A program with a handler gets EINTR
 * from each signal that it handles, and from no other.
 */
#include <execinfo.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <threads.h>
#include <ucontext.h>

#include "kselftest_harness.h"
#include "lib/witness.h"

#define WAIT_MS 60

static _Atomic int stop, collections;

static void *collect_until_stop(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while (!stop) {
		collect();
		collections++;
	}
	return arg;
}

static pthread_t start_collecting(void)
{
	pthread_t t;

	collect();
	ASSERT_EQ(0, pthread_create(&t, NULL, collect_until_stop, NULL));
	while (!collections)
		sched_yield();
	return t;
}

static void end_collecting(pthread_t t)
{
	stop = 1;
	pthread_join(t, NULL);
}

/* A system call as programs without a C library make it. */
static long bare(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	switch (number) {
#define CALL(nr)							\
	case nr:							\
		__asm__ volatile("mov %1, %%eax\n\tsyscall" : "=a"(result) \
				 : "i"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) \
				 : "rcx", "r11", "memory");		\
		break
	CALL(SYS_poll);
	CALL(SYS_semtimedop);
	CALL(SYS_nanosleep);
	CALL(SYS_recvfrom);
	CALL(SYS_futex);
	CALL(SYS_epoll_wait);
	default:
		return -ENOSYS;
	}
	return result;
}

static struct timespec timeout = { 0, WAIT_MS * 1000000 };
static int pair[2], listener, epoll, semaphores, messages;
static uint32_t word;

static void make_objects(void)
{
	struct timeval tv = { 0, WAIT_MS * 1000 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(listener, (struct sockaddr *)&a, sizeof(a.sun_family)));
	ASSERT_EQ(0, listen(listener, 1));
	ASSERT_EQ(0, setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	epoll = epoll_create1(0);
	ASSERT_LE(0, epoll);
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	ASSERT_LE(0, semaphores);
	messages = msgget(IPC_PRIVATE, 0600);
	ASSERT_LE(0, messages);
}

static void remove_objects(void)
{
	semctl(semaphores, 0, IPC_RMID);
	msgctl(messages, IPC_RMID, NULL);
}

static int of(long result)
{
	return result < 0 ? errno : 0;
}

/* @want: the error that it ends with when its time is over. */
#define EXPECT_ERROR(want, call)					\
	do {								\
		uint64_t began_ = now_ns();				\
		int got_;						\
									\
		errno = 0;						\
		got_ = of((long)(call));				\
		if (got_ != (want))					\
			ksft_print_msg("%s: %s\n", #call, strerror(got_)); \
		EXPECT_EQ(want, got_);					\
		EXPECT_LE((uint64_t)(WAIT_MS - 1) * 1000000, now_ns() - began_); \
	} while (0)

struct in_code {
	long (*call)(long id, void *op, long n);
	long result;
};

static void *wait_in_code(void *arg)
{
	struct in_code *c = arg;
	struct sembuf op = { 0, -1, 0 };

	c->result = c->call(semaphores, &op, 1);
	return arg;
}

/*
 * Code that a program has made itself may begin with the number of a call, where nothing lies
 * before it.
 */
TEST(at_start_of_mapping)
{
	static const unsigned char semop_code[] = { 0xb8, SYS_semop, 0, 0, 0, 0x0f, 0x05, 0xc3 };
	unsigned char *pages =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct in_code c = { (long (*)(long, void *, long))(pages + 4096), -1 };
	struct sembuf up = { 0, 1, 0 };
	pthread_t t;
	int i;

	ASSERT_NE(MAP_FAILED, (void *)pages);
	memcpy(pages + 4096, semop_code, sizeof(semop_code));
	ASSERT_EQ(0, mprotect(pages, 4096, PROT_NONE));
	ASSERT_EQ(0, mprotect(pages + 4096, 4096, PROT_READ | PROT_EXEC));
	make_objects();
	collect();
	ASSERT_EQ(0, pthread_create(&t, NULL, wait_in_code, &c));
	/* It waits when the semaphore counts it; then it is interrupted in each cycle. */
	while (semctl(semaphores, 0, GETNCNT) != 1)
		sched_yield();
	for (i = 0; i < 5; i++)
		collect();
	EXPECT_EQ(0, semop(semaphores, &up, 1));
	pthread_join(t, NULL);
	EXPECT_EQ(0, c.result);
	remove_objects();
}

TEST(time_out)
{
	pthread_t t = start_collecting();
	struct sembuf op = { 0, -1, 0 };
	struct epoll_event ev;
	struct pollfd p = { .events = POLLIN };
	struct timespec until, rest;
	sigset_t usr1;
	char byte[64];
	sem_t sem;

	make_objects();
	p.fd = pair[0];
	sem_init(&sem, 0, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	EXPECT_ERROR(EAGAIN, recv(pair[0], byte, 1, 0));
	EXPECT_ERROR(EAGAIN, read(pair[0], byte, 1));
	EXPECT_ERROR(EAGAIN, accept(listener, NULL, NULL));
	EXPECT_ERROR(EAGAIN, semtimedop(semaphores, &op, 1, &timeout));
	EXPECT_ERROR(0, epoll_pwait2(epoll, &ev, 1, &timeout, NULL));
	EXPECT_ERROR(0, epoll_wait(epoll, &ev, 1, WAIT_MS));
	EXPECT_ERROR(0, poll(&p, 1, WAIT_MS));
	EXPECT_ERROR(0, ppoll(&p, 1, &timeout, NULL));
	EXPECT_ERROR(0, thrd_sleep(&timeout, NULL));
	/* What is left goes where the time came from, as in sleep(3). */
	rest = timeout;
	EXPECT_ERROR(0, thrd_sleep(&rest, &rest));
	rest = timeout;
	EXPECT_ERROR(0, syscall(SYS_nanosleep, &rest, &rest));
	EXPECT_ERROR(0, nanosleep(&timeout, NULL));
	EXPECT_ERROR(EAGAIN, sigtimedwait(&usr1, NULL, &timeout));
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1;
	EXPECT_ERROR(ETIMEDOUT, sem_timedwait(&sem, &until));
	/* By number. */
	EXPECT_ERROR(EAGAIN, syscall(SYS_recvfrom, pair[0], byte, 1, 0, NULL, NULL));
	EXPECT_ERROR(EAGAIN, syscall(SYS_semtimedop, semaphores, &op, 1, &timeout));
	EXPECT_ERROR(0, syscall(SYS_poll, &p, 1, WAIT_MS));
	EXPECT_ERROR(0, syscall(SYS_epoll_wait, epoll, &ev, 1, WAIT_MS));
	EXPECT_ERROR(0, syscall(SYS_nanosleep, &timeout, NULL));
	EXPECT_ERROR(EAGAIN, syscall(SYS_rt_sigtimedwait, &usr1, NULL, &timeout, 8));
	EXPECT_ERROR(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &timeout, NULL, 0));
	{
		struct io_event event;
		aio_context_t ctx = 0;

		if (!syscall(SYS_io_setup, 4, &ctx)) {
			EXPECT_ERROR(0, syscall(SYS_io_getevents, ctx, 1, 1, &event, &timeout));
			syscall(SYS_io_destroy, ctx);
		}
	}
	/* Without the C library. */
	EXPECT_EQ(-EAGAIN, bare(SYS_recvfrom, pair[0], (long)byte, 1, 0, 0));
	EXPECT_EQ(-EAGAIN, bare(SYS_semtimedop, semaphores, (long)&op, 1, (long)&timeout, 0));
	EXPECT_EQ(0, bare(SYS_poll, (long)&p, 1, WAIT_MS, 0, 0));
	EXPECT_EQ(0, bare(SYS_epoll_wait, epoll, (long)&ev, 1, WAIT_MS, 0));
	EXPECT_EQ(0, bare(SYS_nanosleep, (long)&timeout, 0, 0, 0, 0));
	EXPECT_EQ(-ETIMEDOUT, bare(SYS_futex, (long)&word, FUTEX_WAIT, 0, (long)&timeout, 0));
	remove_objects();
	end_collecting(t);
}

struct message {
	long type;
	char text[8];
};

static void *wake_up(void *arg)
{
	struct timespec pause = { 0, 50000000 };
	struct sembuf op = { 0, 1, 0 };
	struct message m = { 1, "x" };

	nanosleep(&pause, NULL);
	semop(semaphores, &op, 1);
	nanosleep(&pause, NULL);
	msgsnd(messages, &m, sizeof(m.text), 0);
	nanosleep(&pause, NULL);
	if (write(pair[1], "x", 1) != 1)
		return arg;
	return NULL;
}

/* Until somebody wakes them. */
TEST(for_good)
{
	pthread_t t = start_collecting(), waker;
	struct sembuf op = { 0, -1, 0 };
	struct message m;
	void *result;
	char byte;

	make_objects();
	ASSERT_EQ(0, pthread_create(&waker, NULL, wake_up, (void *)&stop));
	EXPECT_EQ(0, semop(semaphores, &op, 1));
	EXPECT_EQ((ssize_t)sizeof(m.text), msgrcv(messages, &m, sizeof(m.text), 0, 0));
	do {
		errno = 0;
	} while (recv(pair[0], &byte, 1, 0) < 0 && errno == EAGAIN);
	EXPECT_EQ(0, errno);
	ASSERT_EQ(0, pthread_join(waker, &result));
	EXPECT_EQ(NULL, result);
	remove_objects();
	end_collecting(t);
}

#define MUCH (1u << 20)

static void *take_slowly(void *arg)
{
	static char to[8192];
	struct timespec pause = { 0, 100000 };
	size_t n = 0;
	ssize_t part;
	int fd = *(int *)arg;

	do {
		nanosleep(&pause, NULL);
		part = read(fd, to, sizeof(to));
		if (part > 0)
			n += (size_t)part;
	} while (part > 0 && n < MUCH);
	return (void *)n;
}

static void *give_slowly(void *arg)
{
	static char from[8192];
	struct timespec pause = { 0, 100000 };
	size_t n;
	int fd = *(int *)arg;

	for (n = 0; n < MUCH; n += sizeof(from)) {
		nanosleep(&pause, NULL);
		if (write(fd, from, sizeof(from)) != (ssize_t)sizeof(from))
			break;
	}
	return (void *)n;
}

#define EXPECT_WHOLE(make, fn, theirs, call)				\
	do {								\
		pthread_t other_;					\
		void *theirs_;						\
		int p[2];						\
									\
		ASSERT_EQ(0, make);					\
		ASSERT_EQ(0, pthread_create(&other_, NULL, fn, &p[theirs])); \
		EXPECT_EQ((ssize_t)MUCH, call);				\
		ASSERT_EQ(0, pthread_join(other_, &theirs_));		\
		EXPECT_EQ((size_t)MUCH, (size_t)theirs_);		\
		close(p[0]);						\
		close(p[1]);						\
	} while (0)

/* Transfers that block are whole, and those that do not are not. */
TEST(transfers)
{
	pthread_t t = start_collecting();
	char *all = calloc(1, MUCH);
	struct iovec v[3] = {
		{ all, MUCH / 2 }, { all, MUCH / 4 }, { all, MUCH / 4 },
	};
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	int p[2];

	ASSERT_TRUE(all != NULL);
	EXPECT_WHOLE(pipe(p), take_slowly, 0, write(p[1], all, MUCH));
	EXPECT_WHOLE(pipe(p), take_slowly, 0, writev(p[1], v, 3));
	EXPECT_WHOLE(socketpair(AF_UNIX, SOCK_STREAM, 0, p), take_slowly, 0,
		     send(p[1], all, MUCH, 0));
	EXPECT_WHOLE(socketpair(AF_UNIX, SOCK_STREAM, 0, p), take_slowly, 0, sendmsg(p[1], &m, 0));
	EXPECT_WHOLE(socketpair(AF_UNIX, SOCK_STREAM, 0, p), give_slowly, 1,
		     recv(p[0], all, MUCH, MSG_WAITALL));
	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	EXPECT_EQ(65536, write(p[1], all, MUCH));
	EXPECT_EQ(-1, write(p[1], all, MUCH));
	EXPECT_EQ(EAGAIN, errno);
	free(all);
	end_collecting(t);
}

/* ------------------------------------------------------------------------------------------ */
/* With a handler                                                                             */
/* ------------------------------------------------------------------------------------------ */

static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* An alarm that comes before the call does not end it; the next one does. */
TEST(alarm_ends_call)
{
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	pthread_t t = start_collecting();
	struct sembuf op = { 0, -1, 0 };
	struct message m;
	int i, before, repeated = 0;

	make_objects();
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	for (i = 0; i < 1000; i++) {
		struct itimerval it = { { 0, 50000 }, { 0, 500 + i % 700 } };
		long result;

		before = alarms;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
		switch (i % 4) {
		case 0:
			result = semop(semaphores, &op, 1);
			break;
		case 1:
			result = msgrcv(messages, &m, sizeof(m.text), 0, 0);
			break;
		case 2:
			result = syscall(SYS_pause);
			break;
		default:
			result = syscall(SYS_poll, NULL, 0, -1);
		}
		it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
		EXPECT_EQ(-1L, result);
		EXPECT_EQ(EINTR, errno);
		/* Not for nothing. */
		EXPECT_LE(before + 1, (int)alarms);
		repeated += alarms - before - 1;
		setitimer(ITIMER_REAL, &it, NULL);
	}
	ksft_print_msg("%d of 1000 calls needed a second alarm\n", repeated);
	remove_objects();
	end_collecting(t);
}

static volatile int in_call;		/* handlers that have run on top of a system call that
					 * was not over */

/* read(), which leaves RCX 0 until the instruction has been executed, and then never. */
static long marked_read(int fd, void *to, size_t bytes)
{
	unsigned long rcx = 0;
	long result;

	__asm__ volatile("syscall" : "=a"(result), "+c"(rcx)
			 : "0"(SYS_read), "D"(fd), "S"(to), "d"(bytes) : "r11", "memory");
	return result;
}

/*
 * A thread that gets no CPU when its call is over, or is about to begin, may be there for so long
 * that the next alarm comes.  A handler that ends a call leaves RCX changed (restart.c).
 */
static void on_alarm_in_call(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const unsigned char *rip = (const unsigned char *)regs[REG_RIP];
	bool behind = !memcmp(rip - 2, "\x0f\x05", 2), before = !memcmp(rip, "\x0f\x05", 2);

	(void)sig;
	(void)info;
	in_call += (behind && regs[REG_RAX] == -EINTR && regs[REG_RCX] == regs[REG_RIP]) ||
		   (before && regs[REG_RCX]);
}

/*
 * What SA_RESTART is for: without it a handler ends the call, also if its signal had to wait for
 * ours.
 */
TEST(handler_without_restart)
{
	struct sigaction act = { .sa_sigaction = on_alarm_in_call, .sa_flags = SA_SIGINFO };
	pthread_t t = start_collecting(), more = start_collecting();
	char byte;
	int i, lost = 0;

	make_objects();
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, pipe(pair));
	for (i = 0; i < 3000; i++) {
		struct itimerval it = { { 0, 20000 }, { 0, 300 + i % 700 } };

		ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
		in_call = 0;
		EXPECT_EQ(-EINTR, marked_read(pair[0], &byte, 1));
		lost += in_call != 1;
		it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
		setitimer(ITIMER_REAL, &it, NULL);
	}
	EXPECT_EQ(0, lost);
	remove_objects();
	end_collecting(t);
	pthread_join(more, NULL);
}

/* With SA_RESTART it ends none. */
TEST(handler_with_restart)
{
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval it = { { 0, 700 }, { 0, 700 } };
	pthread_t t = start_collecting(), waker;
	void *result;
	char byte;

	make_objects();
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
	while (alarms < 2000) {
		ASSERT_EQ(0, pthread_create(&waker, NULL, wake_up, (void *)&stop));
		EXPECT_EQ(1, read(pair[0], &byte, 1));
		ASSERT_EQ(0, pthread_join(waker, &result));
	}
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	remove_objects();
	end_collecting(t);
}

/* ------------------------------------------------------------------------------------------ */
/* Out of a handler, by its caller                                                            */
/* ------------------------------------------------------------------------------------------ */

static void *frames[64];
static volatile int nframes, cleaned;

static void look_back(int sig)
{
	(void)sig;
	nframes = backtrace(frames, 64);
}

static NOINLINE void raise_here(int sig)
{
	raise(sig);
	__asm__ volatile("" : : : "memory");
}

/* Unwinding finds its way through what handlers return to. */
TEST(backtrace)
{
	struct sigaction act = { .sa_handler = look_back };
	bool found = false;
	int i;

	collect();
	nframes = backtrace(frames, 64);
	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	raise_here(SIGUSR1);
	for (i = 0; i < nframes; i++)
		found |= frames[i] > (void *)raise_here &&
			 frames[i] < (void *)((char *)raise_here + 64);
	EXPECT_TRUE(found);
}

static void pause_in_handler(int sig)
{
	(void)sig;
	for (;;)
		pause();
}

static void note_cleaned(void *unused)
{
	(void)unused;
	cleaned++;
}

static _Atomic int in_thread;

static void *be_cancelled(void *arg)
{
	pthread_cleanup_push(note_cleaned, NULL);
	in_thread = 1;
	raise(SIGUSR2);
	pthread_cleanup_pop(0);
	return arg;
}

TEST(cancelled_in_handler)
{
	struct sigaction act = { .sa_handler = pause_in_handler };
	void *result;
	pthread_t t;

	collect();
	ASSERT_EQ(0, sigaction(SIGUSR2, &act, NULL));
	ASSERT_EQ(0, pthread_create(&t, NULL, be_cancelled, NULL));
	while (!in_thread)
		sched_yield();
	ASSERT_EQ(0, pthread_cancel(t));
	ASSERT_EQ(0, pthread_join(t, &result));
	EXPECT_TRUE(result == PTHREAD_CANCELED);
	EXPECT_EQ(1, cleaned);
}

TEST_HARNESS_MAIN
