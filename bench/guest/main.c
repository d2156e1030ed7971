// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - what it costs to be a guest in a program that is not known
 *
 * In a cycle, the agent's work is done in the program's process.  How much that is depends on the
 * stack that the thread is on: its own, a coroutine's that the library knows, or one that it does
 * not know.  Each row is the CPU time of the process for one tri_gc(), the median of 21, without
 * the collector's.  Other rows are the time for which a thread that only computes is held up (wall
 * time, measured by the library), switches of coroutines, and fork() (parent and child together,
 * the median of 9).
 *
 * usage: guest [fork]		With "fork" only that, for TRICOLOR_FORK=fresh
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <tricolor.h>
#include <ucontext.h>
#include <unistd.h>

#define CYCLES 21
#define FORKS 9
#define SWITCHES 10000000l
#define MIB ((size_t)1 << 20)
#define STACK_BYTES ((size_t)65536)
#define ROOT_BYTES (64 * MIB)
#define OBJECT_BYTES ((size_t)1024)

static void die(const char *what)
{
	fprintf(stderr, "guest: %s: %s\n", what, tri_error());
	exit(1);
}

static double cpu_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_row(const char *name, double *us, unsigned int n)
{
	qsort(us, n, sizeof(*us), compare);
	printf("%-52s %10.1f\n", name, us[n / 2]);
}

static void measure_cycles(const char *name)
{
	double us[CYCLES];
	unsigned int i;

	for (i = 0; i < CYCLES; i++) {
		us[i] = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
		if (tri_gc())
			die("tri_gc");
		us[i] = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - us[i];
	}
	print_row(name, us, CYCLES);
}

static void __attribute__((noinline)) measure_deep(const char *name)
{
	volatile char deep[MIB];
	size_t i;

	for (i = 0; i < sizeof(deep); i++)
		deep[i] = (char)(i >> 3);
	measure_cycles(name);
	deep[0] = 1;
}

/* ------------------------------------------------------------------------------------------ */
/* Coroutines                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static __thread ucontext_t home, coroutine;
static __thread const char *row;

static void run_coroutine(void)
{
	measure_cycles(row);
	swapcontext(&coroutine, &home);
}

static void measure_coroutine(const char *name, bool registered)
{
	void *memory =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tri_stack *own = tri_stack_self(), *stack = NULL;

	if (memory == MAP_FAILED || !own)
		die("a stack");
	if (registered) {
		stack = tri_stack_register(memory, STACK_BYTES);
		if (!stack)
			die("tri_stack_register");
	}
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = memory;
	coroutine.uc_stack.ss_size = STACK_BYTES;
	coroutine.uc_link = NULL;
	makecontext(&coroutine, run_coroutine, 0);
	row = name;
	if (stack && tri_stack_switch(stack))
		die("tri_stack_switch");
	swapcontext(&home, &coroutine);
	if (stack && (tri_stack_switch(own) || tri_stack_unregister(stack)))
		die("tri_stack_unregister");
	munmap(memory, STACK_BYTES);
}

/* ------------------------------------------------------------------------------------------ */
/* A thread that computes                                                                     */
/* ------------------------------------------------------------------------------------------ */

static atomic_bool over;

static void *spin(void *arg)
{
	(void)arg;
	if (tri_thread_attach())
		die("tri_thread_attach");
	while (!over)
		;
	return NULL;
}

static void measure_interruptions(void)
{
	struct tri_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	double us[CYCLES];
	pthread_t spinner;
	unsigned int i;

	if (pthread_create(&spinner, NULL, spin, NULL))
		die("a thread");
	for (i = 0; i < CYCLES; i++) {
		if (tri_read_stats(&before) || tri_gc() || tri_read_stats(&after))
			die("tri_read_stats");
		us[i] = (double)(after.interruption_total_ns - before.interruption_total_ns) / 1e3;
	}
	over = true;
	pthread_join(spinner, NULL);
	print_row("a thread that computes is held up in a cycle for", us, CYCLES);
}

/*
 * Tell the library of a switch to another stack and back, without the switch, to measure what that
 * costs.
 */
static void measure_switches(void)
{
	void *memory =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tri_stack *own = tri_stack_self();
	tri_stack *stack = tri_stack_register(memory, STACK_BYTES);
	double us;
	long i;

	if (!own || !stack)
		die("tri_stack_register");
	us = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < SWITCHES; i++)
		if (tri_stack_switch(i & 1 ? own : stack))
			die("tri_stack_switch");
	us = cpu_us(CLOCK_THREAD_CPUTIME_ID) - us;
	printf("%-52s %10.1f\n", "tri_stack_switch(), ns", us * 1e3 / (double)SWITCHES);
	tri_stack_unregister(stack);
	munmap(memory, STACK_BYTES);
}

static void *run_worker(void *arg)
{
	(void)arg;
	measure_cycles("a cycle, asked for by a second thread");
	measure_coroutine("  on a coroutine that is not registered", false);
	measure_coroutine("  on a coroutine that is registered", true);
	return NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static double time_us(const struct timeval *t)
{
	return (double)t->tv_sec * 1e6 + (double)t->tv_usec;
}

static void measure_fork(const char *name)
{
	double us[FORKS];
	unsigned int i;

	for (i = 0; i < FORKS; i++) {
		struct rusage used;
		pid_t pid;
		int status;

		us[i] = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status)
			die("fork");
		us[i] = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - us[i] + time_us(&used.ru_utime) +
			time_us(&used.ru_stime);
	}
	print_row(name, us, FORKS);
}

static void measure_forks(void)
{
	void **list = NULL;
	size_t i;

	measure_fork("fork(), an empty heap");
	for (i = 0; i < 64 * MIB / OBJECT_BYTES; i++) {
		void **o = tri_alloc(OBJECT_BYTES);

		if (!o)
			die("tri_alloc");
		memset(o, 1, OBJECT_BYTES);
		tri_store((void **)&o[0], (void *)list);
		list = o;
	}
	measure_fork("fork(), a heap of 64 MiB");
	if (!list)
		die("the heap");
}

int main(int argc, char **argv)
{
	pthread_t worker;
	void *root;

	setenv("TRICOLOR_SOCKET", "off", 0);
	if (tri_init(NULL))
		die("tri_init");
	printf("%-52s %10s\n", "", "us");
	if (argc > 1 && !strcmp(argv[1], "fork")) {
		measure_forks();
		return 0;
	}
	measure_cycles("a cycle");
	measure_deep("  1 MiB deep");
	measure_coroutine("  on a coroutine that is not registered", false);
	measure_coroutine("  on a coroutine that is registered", true);
	root = malloc(ROOT_BYTES);
	if (!root)
		die("malloc");
	memset(root, 1, ROOT_BYTES);
	if (tri_root_add(root, ROOT_BYTES))
		die("tri_root_add");
	measure_cycles("  with 64 MiB of roots more");
	tri_root_remove(root, ROOT_BYTES);
	free(root);
	if (pthread_create(&worker, NULL, run_worker, NULL) || pthread_join(worker, NULL))
		die("a thread");
	measure_interruptions();
	measure_switches();
	measure_forks();
	return 0;
}
