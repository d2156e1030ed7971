// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_signals.c - the program's signals and the library's
 *
 * The signals that the library handles are the program's as well: with its flags, counted exactly,
 * however they are sent.  Whatever the program does with masks, jumps and cancellation, cycles go
 * on.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "kselftest_harness.h"
#include "lib/witness.h"

#define ID(n) (0x519a000000000000ull + (uint64_t)(n))
#define CYCLES 20

static char alternate[65536] __attribute__((aligned(16)));
static volatile int handled, value, on_alternate, mask_held, nested, deepest, raised;
static volatile sig_atomic_t stop;

static void use_alternate_stack(void)
{
	stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	ASSERT_EQ(0, sigaltstack(&ss, NULL));
}

/* A thread that computes and calls nothing; a cycle has to interrupt it. */
static void *compute(void *arg)
{
	struct witness *volatile w = witness_new(ID(1));
	_Atomic int *running = arg;

	*running = 1;
	while (!stop)
		;
	return witness_ok(w, ID(1)) ? NULL : arg;
}

static pthread_t start_computing(void)
{
	static _Atomic int running;
	pthread_t t;

	running = 0;
	ASSERT_EQ(0, pthread_create(&t, NULL, compute, (void *)&running));
	while (!running)
		sched_yield();
	return t;
}

static void end_computing(pthread_t t)
{
	void *result;

	stop = 1;
	ASSERT_EQ(0, pthread_join(t, &result));
	EXPECT_EQ(NULL, result);
}

/* ------------------------------------------------------------------------------------------ */
/* The program's handler for the library's signal                                              */
/* ------------------------------------------------------------------------------------------ */

static void note(int sig, siginfo_t *info, void *context)
{
	char here;
	sigset_t mask;

	(void)sig;
	(void)context;
	on_alternate = &here >= alternate && &here < alternate + sizeof(alternate);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	mask_held = sigismember(&mask, SIGUSR2);
	value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
	handled++;
}

static void note_depth(int sig)
{
	nested++;
	if (nested > deepest)
		deepest = nested;
	if (nested < 3 && raised++ < 2)
		raise(sig);
	nested--;
	handled++;
}

static void check_flags(int sig)
{
	struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK }, old;
	union sigval v = { .sival_int = 4711 };
	pthread_t t;

	stop = 0;
	handled = 0;
	use_alternate_stack();
	t = start_computing();
	sigaddset(&act.sa_mask, SIGUSR2);
	ASSERT_EQ(0, sigaction(sig, &act, NULL));
	collect_times(CYCLES);
	EXPECT_EQ(0, handled);

	ASSERT_EQ(0, sigqueue(getpid(), sig, v));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(4711, value);
	EXPECT_TRUE(on_alternate);
	EXPECT_TRUE(mask_held);

	act.sa_flags = SA_SIGINFO;
	ASSERT_EQ(0, sigaction(sig, &act, &old));
	EXPECT_EQ(SA_SIGINFO | SA_ONSTACK, old.sa_flags & (SA_SIGINFO | SA_ONSTACK | SA_RESTART));
	EXPECT_TRUE(old.sa_sigaction == note);
	ASSERT_EQ(0, raise(sig));
	EXPECT_EQ(2, handled);
	EXPECT_FALSE(on_alternate);

	act.sa_flags = SA_SIGINFO | (int)SA_RESETHAND;
	ASSERT_EQ(0, sigaction(sig, &act, NULL));
	ASSERT_EQ(0, raise(sig));
	ASSERT_EQ(0, sigaction(sig, NULL, &old));
	EXPECT_TRUE(old.sa_handler == SIG_DFL);
	EXPECT_EQ(3, handled);

	/* Again in itself, or not. */
	deepest = handled = raised = 0;
	act = (struct sigaction){ .sa_handler = note_depth, .sa_flags = SA_NODEFER };
	ASSERT_EQ(0, sigaction(sig, &act, NULL));
	ASSERT_EQ(0, raise(sig));
	EXPECT_EQ(3, deepest);
	act.sa_flags = 0;
	deepest = handled = raised = 0;
	ASSERT_EQ(0, sigaction(sig, &act, NULL));
	ASSERT_EQ(0, raise(sig));
	EXPECT_EQ(1, deepest);
	EXPECT_EQ(3, handled);
	signal(sig, SIG_IGN);
	collect_times(2);
	end_computing(t);
}

TEST(flags)
{
	check_flags(SIGRTMIN + 2);
}

TEST(flags_of_sigurg)
{
	setenv("TRICOLOR_SIGNAL", "23", 1);
	ASSERT_EQ(0, tri_init(NULL));
	check_flags(SIGURG);
}

TEST(taken)
{
	struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO }, now;
	pthread_t t;

	ASSERT_EQ(0, sigaction(SIGRTMIN + 2, &act, NULL));
	t = start_computing();
	collect_times(CYCLES);
	EXPECT_EQ(0, handled);
	ASSERT_EQ(0, raise(SIGRTMIN + 2));
	EXPECT_EQ(1, handled);
	/* It is not handled by way of us. */
	ASSERT_EQ(0, syscall(SYS_rt_sigaction, SIGRTMIN + 2, NULL, &now, 8));
	EXPECT_TRUE(now.sa_sigaction == note);
	end_computing(t);
}

static int status_of(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		fn();
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	return status;
}

static void die_of_it(void)
{
	collect();
	kill(getpid(), SIGRTMIN + 2);
	pause();
}

static void ignore_it(void)
{
	signal(SIGRTMIN + 2, SIG_IGN);
	collect();
	kill(getpid(), SIGRTMIN + 2);
	collect();
}

TEST(default_action)
{
	int status = status_of(die_of_it);

	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGRTMIN + 2);
	EXPECT_EQ(0, status_of(ignore_it));
}

TEST(child_of_vfork)
{
	struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO }, old;
	int i, status;
	pid_t pid;

	collect();
	ASSERT_EQ(0, sigaction(SIGRTMIN + 2, &act, NULL));
	pid = vfork();
	if (!pid) {
		for (i = 1; i <= SIGRTMAX; i++)
			signal(i, SIG_DFL);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, sigaction(SIGRTMIN + 2, NULL, &old));
	EXPECT_TRUE(old.sa_sigaction == note);
	collect();
}

/* With no room for queued signals the kernel sends standard ones without saying who did. */
static void count_without_room(int sig)
{
	struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	struct rlimit none = { 0, 0 };
	pthread_t t = start_computing();
	int i;

	ASSERT_EQ(0, sigaction(sig, &act, NULL));
	ASSERT_EQ(0, setrlimit(RLIMIT_SIGPENDING, &none));
	for (i = 0; i < 5; i++) {
		collect_times(4);
		ASSERT_EQ(0, kill(getpid(), sig));
	}
	collect();
	EXPECT_EQ(5, handled);
	end_computing(t);
}

TEST(no_room)
{
	count_without_room(SIGURG);
}

TEST(no_room_for_ours)
{
	setenv("TRICOLOR_SIGNAL", "23", 1);
	ASSERT_EQ(0, tri_init(NULL));
	count_without_room(SIGURG);
}

TEST(no_room_for_second)
{
	ASSERT_EQ(0, tri_init(NULL));
	count_without_room(SIGSTKFLT);
}

/* ------------------------------------------------------------------------------------------ */
/* Masks                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static void *collect_then_signal(void *arg)
{
	collect_times(CYCLES);
	kill(getpid(), SIGUSR1);
	return arg;
}

static pthread_t block_all_and_collect(void)
{
	sigset_t all;
	pthread_t t;

	sigfillset(&all);
	collect();
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &all, NULL));
	ASSERT_EQ(0, pthread_create(&t, NULL, collect_then_signal, NULL));
	return t;
}

TEST(signalfd)
{
	struct signalfd_siginfo si;
	sigset_t all;
	pthread_t t;
	int fd;

	sigfillset(&all);
	t = block_all_and_collect();
	fd = signalfd(-1, &all, SFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)sizeof(si), read(fd, &si, sizeof(si)));
	EXPECT_EQ(SIGUSR1, (int)si.ssi_signo);
	pthread_join(t, NULL);
}

TEST(sigwait)
{
	sigset_t all;
	pthread_t t;
	int sig;

	sigfillset(&all);
	t = block_all_and_collect();
	ASSERT_EQ(0, sigwait(&all, &sig));
	EXPECT_EQ(SIGUSR1, sig);
	pthread_join(t, NULL);
}

static _Atomic int in_handler;

static void compute_in_handler(int sig)
{
	(void)sig;
	in_handler = 1;
	while (!stop)
		;
}

static void *raise_it(void *arg)
{
	struct witness *volatile w = witness_new(ID(2));

	raise(SIGUSR1);
	return witness_ok(w, ID(2)) ? NULL : arg;
}

/* Installed before the heap starts. */
TEST(early_handler_with_full_mask)
{
	struct {			/* the kernel's */
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} raw;
	struct sigaction act = { .sa_handler = compute_in_handler };
	pthread_t t;
	void *result;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	/*
	 * With a mask that nobody has looked at, as what was there before the library was loaded.
	 */
	ASSERT_EQ(0, syscall(SYS_rt_sigaction, SIGUSR1, NULL, &raw, 8));
	raw.mask = ~0ull;
	ASSERT_EQ(0, syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 8));
	ASSERT_EQ(0, pthread_create(&t, NULL, raise_it, (void *)&stop));
	while (!in_handler)
		sched_yield();
	collect_times(CYCLES);
	stop = 1;
	ASSERT_EQ(0, pthread_join(t, &result));
	EXPECT_EQ(NULL, result);
}

static void *collect_in_thread(void *arg)
{
	collect_times(3);
	return arg;
}

/* What the program is when it is started with all signals blocked, below. */
static int started_blocked(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, collect_in_thread, NULL))
		return 1;
	return pthread_join(t, NULL);
}

TEST(started_with_all_blocked)
{
	uint64_t all = ~0ull;
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
		setenv("TEST_STARTED_BLOCKED", "1", 1);
		execl("/proc/self/exe", "test_signals", NULL);
		_exit(127);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static _Atomic int deaf, hear;

static void *collect_nothing(void *arg)
{
	witness_new(ID(5));
	return arg;
}

/* Blocks what can be blocked, behind the library's back. */
static void *be_deaf(void *arg)
{
	struct witness *volatile w = witness_new(ID(4));
	uint64_t all = ~0ull, none = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	deaf = 1;
	while (!hear)
		;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	while (!stop)
		;
	return witness_ok(w, ID(4)) ? NULL : arg;
}

/*
 * Nothing is collected, the program goes on, is told why, and all is well when the thread answers
 * again.
 */
TEST(deaf_thread)
{
	pthread_t t, other;
	void *result;
	int i, err;

	ASSERT_EQ(0, pthread_create(&t, NULL, be_deaf, (void *)&stop));
	while (!deaf)
		sched_yield();
	err = tri_gc();
	EXPECT_EQ(-ETIMEDOUT, err);
	EXPECT_TRUE(strstr(tri_error(), "does not answer") != NULL);
	EXPECT_TRUE(strstr(tri_error(), "blocked") != NULL);
	ksft_print_msg("%s\n", tri_error());
	ASSERT_EQ(0, pthread_create(&other, NULL, collect_nothing, NULL));
	ASSERT_EQ(0, pthread_join(other, NULL));
	for (i = 0; i < 10000; i++)
		witness_new(ID(i));
	hear = 1;
	/* The next collector comes a moment later. */
	for (i = 0; i < 10 && tri_gc(); i++)
		;
	collect();
	stop = 1;
	ASSERT_EQ(0, pthread_join(t, &result));
	EXPECT_EQ(NULL, result);
}

/* ------------------------------------------------------------------------------------------ */
/* Out of a handler                                                                           */
/* ------------------------------------------------------------------------------------------ */

static sigjmp_buf env;
static volatile int armed;
static _Atomic int ready;

static void jump_out(int sig)
{
	(void)sig;
	if (armed) {
		armed = 0;
		siglongjmp(env, 1);
	}
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *collect_until_stop(void *arg)
{
	ready = 1;
	while (!stop)
		collect();
	return arg;
}

static pthread_t start_collecting(void)
{
	pthread_t t;

	ready = stop = 0;
	block(SIGALRM);
	ASSERT_EQ(0, pthread_create(&t, NULL, collect_until_stop, NULL));
	while (!ready)
		sched_yield();
	return t;
}

static void unblock(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void every_us(long us)
{
	struct itimerval it = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &it, NULL);
}

/* A time limit on a computation, again and again. */
TEST(jump)
{
	struct sigaction act = { .sa_handler = jump_out };
	struct witness *volatile w = witness_new(ID(0));
	pthread_t t = start_collecting();
	uint64_t cycles = read_stats().cycles;
	volatile unsigned long x, rounds = 0;

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	unblock(SIGALRM);
	every_us(150);
	while (read_stats().cycles < cycles + 300 || rounds < 500) {
		rounds++;
		if (!sigsetjmp(env, 1)) {
			armed = 1;
			for (x = 0;; x++)
				;
		}
		EXPECT_TRUE(witness_ok(w, ID(rounds - 1)));
		w = witness_new(ID(rounds));
	}
	every_us(0);
	stop = 1;
	pthread_join(t, NULL);
}

static _Atomic int may_cancel;

static void *compute_for_good(void *arg)
{
	struct witness *volatile w = witness_new(ID(3));
	int old;

	(void)w;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	may_cancel = 1;
	for (;;)
		__asm__ volatile("" : : "r"(arg) : "memory");
	return NULL;
}

TEST(cancelled)
{
	pthread_t t = start_collecting(), victim;
	uint64_t cycles;
	int i;

	for (i = 0; i < 50; i++) {
		may_cancel = 0;
		ASSERT_EQ(0, pthread_create(&victim, NULL, compute_for_good, NULL));
		while (!may_cancel)
			sched_yield();
		cycles = read_stats().cycles;
		while (read_stats().cycles == cycles)
			sched_yield();
		ASSERT_EQ(0, pthread_cancel(victim));
		ASSERT_EQ(0, pthread_join(victim, NULL));
	}
	stop = 1;
	pthread_join(t, NULL);
}

static ucontext_t main_context, other_context;
static volatile unsigned long switches;

static void switch_stacks(int sig)
{
	(void)sig;
	switches++;
	swapcontext(&other_context, &main_context);
}

static void compute_on_other_stack(void)
{
	for (;;)
		__asm__ volatile("" : : : "memory");
}

/* A preemptive scheduler: its timer's handler switches to another stack, and back. */
TEST(switched)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct sigaction act = { .sa_handler = switch_stacks };
	pthread_t t = start_collecting();
	uint64_t cycles = read_stats().cycles;

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = sizeof(stack);
	sigemptyset(&other_context.uc_sigmask);
	makecontext(&other_context, compute_on_other_stack, 0);
	every_us(150);
	while (read_stats().cycles < cycles + 200 || switches < 300)
		swapcontext(&main_context, &other_context);
	every_us(0);
	stop = 1;
	pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
	if (getenv("TEST_STARTED_BLOCKED"))
		return started_blocked();
	th_main(argc, argv);
	return 0;
}
