// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_threads.c - threads that run, each with the only pointer to some object
 *
 * In loops that never call the library, after jumps, on signal stacks, with all signals blocked,
 * made behind the library's back: cycles must neither lose what they hold nor wait for them.
 * Threads that wait are test_waits.c's, those that start and end test_starts_and_ends.c's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <mqueue.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lib/threads.h"

#define ID(n) (0x7e57000000000000ull + (uint64_t)(n))

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
/* Jumps                                                                                      */
/* ------------------------------------------------------------------------------------------ */

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
/* The C library's own                                                                        */
/* ------------------------------------------------------------------------------------------ */

static _Atomic int notified, notified_wrong;
static struct witness *notified_root;
static struct event timer_told, queue_told;

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

static void be_notified_by_timer(union sigval value)
{
	be_notified(value);
	event_set(&timer_told);
}

static void be_notified_by_queue(union sigval value)
{
	be_notified(value);
	event_set(&queue_told);
}

/*
 * Timers and message queues with SIGEV_THREAD have a thread of the C library's each, which has
 * blocked all signals, and begins others that call the program's function.
 */
static bool notifications(void)
{
	struct sigevent by_timer = { .sigev_notify = SIGEV_THREAD,
				     .sigev_notify_function = be_notified_by_timer };
	struct sigevent by_queue = { .sigev_notify = SIGEV_THREAD,
				     .sigev_notify_function = be_notified_by_queue };
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } },
			  never = { { 0, 0 }, { 0, 0 } };
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	struct witness *volatile argument = witness_new(ID(900));
	bool ok = true;
	char name[32];
	timer_t timer;
	mqd_t queue;
	int i;

	by_timer.sigev_value.sival_ptr = argument;
	by_queue.sigev_value.sival_ptr = argument;
	snprintf(name, sizeof(name), "/tricolor-%d", (int)getpid());
	queue = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
	if (queue >= 0) {
		mq_unlink(name);
		ok &= !mq_notify(queue, &by_queue);
	}
	if (timer_create(CLOCK_MONOTONIC, &by_timer, &timer) ||
	    timer_settime(timer, 0, &often, NULL))
		return false;
	for (i = 0; i < 100; i++) {
		ok &= !tri_gc();
		ok &= !notified_root || witness_ok(notified_root, ID(901));
	}
	event_wait(&timer_told);
	timer_settime(timer, 0, &never, NULL);
	if (queue >= 0) {
		ok &= !mq_send(queue, "x", 1, 0);
		event_wait(&queue_told);
	}
	ksft_print_msg("%d notifications\n", (int)notified);
	return ok && !notified_wrong && witness_ok(argument, ID(900));
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
	ksft_set_plan(10);

	if (UNDER_TSAN) {
		ksft_test_result_skip("registers: the thread sanitizer holds signals back\n");
		ksft_test_result_skip("loops: the thread sanitizer holds signals back\n");
	} else {
		ksft_test_result(test_registers(), "held in any general register\n");
		ksft_test_result(test_spinning(), "threads in loops that never call the library\n");
	}
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
	ksft_finished();
}
