// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_inside.c - what can be seen of the library only from inside: it is linked statically
 *
 *	cycle numbers are 32 bits: the one after 2^32 - 1 collects as any other
 *	a signal handler finds its thread inside or outside at every instruction, never between
 *	membarrier() is refused to a program that is at work: from then on signals are the fence
 *	a thread that forks is the child's main thread, and another one may attach it
 *
 * Each is a child of its own.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <ucontext.h>

#include "libclient/internal.h"
#include "lib/process.h"
#include "lib/witness.h"

#define OBJECTS 64
#define CYCLES 8
#define THREADS 3

static bool scenario(bool (*fn)(void))
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(60);
		setenv("TRICOLOR_DAEMON", daemon_path(), 1);
		setenv("TRICOLOR_SOCKET", "off", 1);
		status = fn() ? 0 : 1;
		fflush(stdout);
		_exit(status);
	}
	status = pid < 0 ? -1 : wait_status(pid);
	if (status)
		ksft_print_msg("the scenario ended with status %d\n", status);
	return status == 0;
}

/* Take what has been freed, so that nothing is left there. */
static NOINLINE void overwrite(size_t bytes)
{
	int i;

	for (i = 0; i < 3000; i++) {
		void *p = tri_alloc(bytes);

		if (p)
			memset(p, 0x55, bytes);
	}
}

static bool cycle_numbers(void)
{
	const uint32_t from = 0xfffffffd;
	struct witness *w[OBJECTS];
	uint32_t cycle;
	int i, lost = 0;

	/*
	 * As if there had been cycles before the first one.  The agent begins with these numbers,
	 * and tells the collector: later would be too late for what it has told already.
	 */
	tri_g.gen = from;
	tri_write(&tri_g.sweepable, from);
	if (tri_start(NULL))
		return false;
	if (tri_g.agent->gen != from) {
		ksft_print_msg("the agent begins with cycle %#x\n", tri_g.agent->gen);
		return false;
	}
	for (cycle = from; cycle != from + CYCLES; cycle++) {
		for (i = 0; i < OBJECTS; i++)
			w[i] = witness_new((uint64_t)i);
		if (tri_gc())
			return false;
		if (tri_g.gen != cycle + 1) {
			ksft_print_msg("cycle %#x, not %#x\n", tri_g.gen, cycle + 1);
			return false;
		}
		overwrite(sizeof(struct witness));
		for (i = 0; i < OBJECTS; i++)
			lost += !witness_ok(w[i], (uint64_t)i);
	}
	ksft_print_msg("%d of %d lost, up to cycle %#x\n", lost, OBJECTS * CYCLES, tri_g.gen);
	return !lost;
}

/* Instructions of an allocation, as a handler that interrupts each of them finds the thread. */
static volatile struct {
	bool over;
	unsigned long inside, outside, between, lost;
} seen;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	const struct tri_thread *t = tri__tls.thread;
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if ((t->depth != 0) != (tri_read(&t->visits) & 1))
		seen.between++;
	else if (t->depth)
		seen.inside++;
	else
		seen.outside++;
	if (seen.over)
		uc->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

static bool every_instruction(void)
{
	struct sigaction act = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	void *volatile keep;
	int i;

	if (tri_thread_attach() || sigaction(SIGTRAP, &act, NULL))
		return false;
	__asm__ volatile("pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq" : : : "memory", "cc");
	/* Not by restartable sequences: one that is interrupted at each instruction never ends. */
	for (i = 0; i < 200; i++) {
		keep = tri__alloc_slow(i % 16 ? 4 : 40000, TRI__LEAF);
		tri__poll_slow();
		seen.lost += tri_base(keep) != keep;
	}
	seen.over = true;
	ksft_print_msg("%lu instructions inside, %lu outside, %lu between\n", seen.inside,
		       seen.outside, seen.between);
	return seen.inside > 1000 && seen.outside > 1000 && !seen.between && !seen.lost;
}

static _Atomic bool stop_working;
static _Atomic unsigned int at_work;
static _Atomic unsigned long lost_by_threads;

static void *work(void *arg)
{
	struct witness *list = NULL, *w;
	uint64_t id = 0, i;
	bool counted = false;

	(void)arg;
	while (!stop_working) {
		for (i = 0, list = NULL; i < 200; i++) {
			w = witness_new(++id);
			tri_store(&w->next, list);
			list = w;
		}
		for (i = id, w = list; w; w = w->next, i--)
			lost_by_threads += !witness_ok(w, i);
		at_work += !counted;
		counted = true;
	}
	return NULL;
}

/* For all threads of the process, the agent too. */
static bool refuse_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static bool membarrier_refused(void)
{
	pthread_t thread[THREADS];
	uint32_t fences;
	int i;

	if (tri_gc())
		return false;
	if (!tri_g.membarrier) {
		ksft_print_msg("no membarrier here\n");
		return true;
	}
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	if (!WAIT_FOR(at_work == THREADS, 1000000, PATIENCE_NS) || !refuse_membarrier())
		return false;
	fences = tri_read(&tri_g.fence);
	for (i = 0; i < 20; i++)
		if (tri_gc())
			return false;
	fences = tri_read(&tri_g.fence) - fences;
	stop_working = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ksft_print_msg("%u fences by signal in 20 cycles, %lu lost\n", fences, lost_by_threads);
	/* Two when barriers go on or off, and one for each round of termination at least. */
	return fences >= 20 * 4 && !lost_by_threads;
}

static void *nothing(void *arg)
{
	return arg;
}

/*
 * In a child without a heap: the first thread that it makes starts one, and attaches the main one.
 */
static bool is_attached_as_main(void)
{
	const struct tri_thread *t;
	pthread_t other;

	if (tri__tls.thread || pthread_create(&other, NULL, nothing, NULL) ||
	    pthread_join(other, NULL))
		return false;
	t = tri__tls.thread;
	return t && t->tid == getpid() &&
	       t->rseq_cs == (__rseq_size ? (uint64_t *)((char *)__builtin_thread_pointer() +
							 __rseq_offset + 8) :
					    NULL);
}

static void *fork_here(void *result)
{
	pid_t pid = fork();

	if (!pid)
		_exit(!is_attached_as_main());
	*(bool *)result = pid > 0 && wait_status(pid) == 0;
	return NULL;
}

static bool main_of_a_child(void)
{
	pthread_t forks;
	bool result = false;

	setenv("TRICOLOR_FORK", "fresh", 1);
	return !pthread_create(&forks, NULL, fork_here, &result) && !pthread_join(forks, NULL) &&
	       result;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(4);
	ksft_test_result(scenario(cycle_numbers), "cycle numbers may wrap\n");
	ksft_test_result(scenario(every_instruction),
			 "a handler finds its thread inside or outside at every instruction\n");
	ksft_test_result(scenario(membarrier_refused),
			 "a fence that is refused is made by signals\n");
	ksft_test_result(scenario(main_of_a_child),
			 "a thread that forks is the child's main thread\n");
	ksft_finished();
}
