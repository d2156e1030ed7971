// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_stacks.c - stacks that are not where a simple program has them, and what is on them
 *
 * Each part runs in a process of its own, which this program starts with the part's name: some need
 * another limit of the stack, an environment, or a process that may crash.  A part holds objects
 * by pointers that are only on stacks, has cycles run, and asks whether the objects are there.
 * Every cycle is one in which freed objects are overwritten.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lib/parts.h"
#include "lib/witness.h"

#define ID(n) (0x0a02000000000000ull + (uint64_t)(n))
#define PAGE 4096ul

/* ------------------------------------------------------------------------------------------ */
/* Cycles of another thread, while this one computes                                          */
/* ------------------------------------------------------------------------------------------ */

static struct event collected;

static void *collector(void *cycles)
{
	uintptr_t n = (uintptr_t)cycles;

	while (n--)
		collect();
	event_set(&collected);
	return NULL;
}

static NOINLINE pthread_t start_cycles(uintptr_t n)
{
	pthread_t thread;
	int err;

	atomic_store(&collected.happened, 0);
	err = pthread_create(&thread, NULL, collector, (void *)n);
	if (err)
		ksft_exit_fail_msg("pthread_create: %s\n", strerror(err));
	return thread;
}

/* Compute, so that the handler has to scan this stack, until another thread has had @n cycles. */
static NOINLINE void compute_during(uintptr_t n)
{
	pthread_t thread = start_cycles(n);

	while (!event_is_set(&collected))
		;
	pthread_join(thread, NULL);
}

/* The same in a blocking region, so that the agent scans it. */
static NOINLINE void sleep_during(uintptr_t n)
{
	pthread_t thread = start_cycles(n);

	while (!event_is_set(&collected))
		poll(NULL, 0, 1);
	pthread_join(thread, NULL);
}

/* An object that only the caller of @during has, in a frame above its own. */
static NOINLINE bool keeps_during(void (*during)(uintptr_t), uintptr_t arg, uint64_t id)
{
	struct witness *volatile w = witness_new(id);

	wipe_stack();
	during(arg);
	return witness_ok(w, id);
}

static void collect_here(uintptr_t n)
{
	collect_times((int)n);
}

/* ------------------------------------------------------------------------------------------ */
/* Pages of a stack that can't be read                                                        */
/* ------------------------------------------------------------------------------------------ */

static NOINLINE bool below_a_hole(void)
{
	bool ok = keeps_during(collect_here, 2, ID(1));

	return keeps_during(compute_during, 2, ID(2)) && ok;
}

/* A buffer with a protected page, objects in frames on both sides of it. */
static NOINLINE void *with_hole(void *unused)
{
	struct witness *volatile above = witness_new(ID(3));
	char buffer[5 * PAGE], *page = (char *)(((uintptr_t)buffer + 2 * PAGE - 1) & ~(PAGE - 1));
	bool ok;

	(void)unused;
	memset(buffer, 1, sizeof(buffer));
	if (mprotect(page, PAGE, PROT_NONE))
		ksft_exit_fail_msg("mprotect: %s\n", strerror(errno));
	ok = below_a_hole();
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	__asm__ volatile("" : : "r"(buffer) : "memory");
	return (void *)(uintptr_t)(ok && witness_ok(above, ID(3)));
}

static bool part_hole(void)
{
	bool ok = with_hole(NULL) != NULL;
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, with_hole, NULL);
	pthread_join(thread, &result);
	return ok && result;
}

/* ------------------------------------------------------------------------------------------ */
/* Deep stacks                                                                                */
/* ------------------------------------------------------------------------------------------ */

#define FRAME_BYTES 65536ul

/* @depth frames, each with an object; those that are lost. */
static NOINLINE unsigned int descend(unsigned int depth)
{
	struct witness *volatile w = witness_new(ID(depth));
	volatile char frame[FRAME_BYTES];
	unsigned int lost = 0;

	frame[0] = frame[FRAME_BYTES - 1] = 0;
	if (depth)
		lost = descend(depth - 1);
	else
		collect();
	return lost + !witness_ok(w, ID(depth));
}

/* The first thread raises its limit while it runs, as compilers do. */
static bool part_raised(void)
{
	struct rlimit limit = { 1ul << 30, RLIM_INFINITY };

	witness_new(ID(0));
	if (setrlimit(RLIMIT_STACK, &limit))
		ksft_exit_fail_msg("setrlimit: %s\n", strerror(errno));
	return !descend((110ul << 20) / FRAME_BYTES);
}

/* Run @fn on a stack of its own, in a context that the library does not know. */
static ucontext_t back, there;

static NOINLINE void on_stack(void *stack, size_t len, void (*fn)(void))
{
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = len;
	there.uc_link = &back;
	makecontext(&there, fn, 0);
	swapcontext(&back, &there);
}

static void *new_stack(size_t len)
{
	void *stack = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (stack == MAP_FAILED)
		ksft_exit_fail_msg("no stack: %s\n", strerror(errno));
	return stack;
}

static unsigned int lost_there;

static void descend_there(void)
{
	lost_there = descend((40ul << 20) / FRAME_BYTES);
}

/* A coroutine that nobody registered, 40 MiB deep. */
static bool part_deep_coroutine(void)
{
	struct witness *volatile w = witness_new(ID(5));

	on_stack(new_stack(64ul << 20), 64ul << 20, descend_there);
	if (!strstr(tri_error(), "tri_stack_register()")) {
		ksft_print_msg("nobody says what that costs: %s\n", tri_error());
		return false;
	}
	return !lost_there && witness_ok(w, ID(5));
}

/* ------------------------------------------------------------------------------------------ */
/* Signal stacks, and coroutines                                                              */
/* ------------------------------------------------------------------------------------------ */

#define SMALL_STACK 262144ul

static unsigned int handler_lost;

static void handler(int sig)
{
	(void)sig;
	handler_lost += !keeps_during(compute_during, 2, ID(10));
	handler_lost += !keeps_during(sleep_during, 2, ID(11));
}

/* A sanitizer's, which it unmaps at a thread's end. */
static __thread stack_t signal_stack_before;

static void use_signal_stack(void *stack, size_t len, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t ss = { .ss_sp = stack, .ss_size = len, .ss_flags = flags };

	if (sigaltstack(&ss, &signal_stack_before) || sigaction(SIGUSR1, &act, NULL))
		ksft_exit_fail_msg("no signal stack: %s\n", strerror(errno));
}

/* Frames with objects, and a signal below them. */
static NOINLINE bool interrupted(unsigned int depth)
{
	struct witness *volatile w = witness_new(ID(100 + depth));
	bool ok = true;

	wipe_stack();
	if (depth)
		ok = interrupted(depth - 1);
	else
		raise(SIGUSR1);
	return witness_ok(w, ID(100 + depth)) && ok && !handler_lost;
}

static bool interrupted_ok;

static void be_interrupted(void)
{
	interrupted_ok = interrupted(8);
}

/*
 * A handler on a stack of malloc()'s; what is interrupted is on the thread's own stack, then on
 * another.
 */
static void *with_signal_stack(void *unused)
{
	void *signal_stack = malloc(SMALL_STACK), *stack = malloc(SMALL_STACK);
	struct witness *volatile w = witness_new(ID(6));
	bool ok;

	(void)unused;
	use_signal_stack(signal_stack, SMALL_STACK, 0);
	ok = interrupted(8);
	on_stack(stack, SMALL_STACK, be_interrupted);
	sigaltstack(&signal_stack_before, NULL);
	free(signal_stack);
	free(stack);
	return (void *)(uintptr_t)(ok && interrupted_ok && witness_ok(w, ID(6)));
}

static bool in_both_threads(void *(*fn)(void *))
{
	bool ok = fn(NULL) != NULL;
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, fn, NULL);
	pthread_join(thread, &result);
	return ok && result;
}

static bool part_signal_stack(void)
{
	return in_both_threads(with_signal_stack);
}

/* The signal stack is an array in a frame of the stack that is interrupted. */
static void *with_signal_array(void *unused)
{
	char stack[SMALL_STACK];
	bool ok;

	(void)unused;
	use_signal_stack(stack, sizeof(stack), 0);
	ok = interrupted(8);
	sigaltstack(&signal_stack_before, NULL);
	return (void *)(uintptr_t)ok;
}

static bool part_signal_array(void)
{
	return in_both_threads(with_signal_array);
}

#undef SS_AUTODISARM			/* the C library's shifts into the sign */
#define SS_AUTODISARM INT_MIN

/* One that the kernel does not tell of while it is in use. */
static bool part_autodisarm(void)
{
	use_signal_stack(new_stack(SMALL_STACK), SMALL_STACK, SS_AUTODISARM);
	return interrupted(8);
}

static long vm_stack_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "VmStk: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

static bool stack_grew;

static void cycles_there(void)
{
	long before = vm_stack_kib();

	handler(0);
	stack_grew = vm_stack_kib() > before + 512;
	ksft_print_msg("the stack was %ld KiB, is %ld KiB\n", before, vm_stack_kib());
}

/* A scan of the first thread's stack from elsewhere does not make it grow. */
static bool part_not_grown(void)
{
	struct witness *volatile w = witness_new(ID(7));
	void *stack = malloc(SMALL_STACK);

	on_stack(stack, SMALL_STACK, cycles_there);
	free(stack);
	return !stack_grew && witness_ok(w, ID(7)) && !handler_lost;
}

/* A worker forks; in the child it is the only thread, on a stack that is not the first thread's. */
static void fork_child_on_stack(void)
{
	lost_there = descend(4);
}

static void *fork_in_worker(void *unused)
{
	pid_t pid = fork();
	int status;

	(void)unused;
	if (!pid) {
		struct witness *volatile w = witness_new(ID(8));

		on_stack(new_stack(4ul << 20), 4ul << 20, fork_child_on_stack);
		use_signal_stack(malloc(SMALL_STACK), SMALL_STACK, 0);
		_exit(lost_there || !witness_ok(w, ID(8)) || !interrupted(8));
	}
	return (void *)(uintptr_t)(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
}

static bool part_forked_worker(void)
{
	pthread_t thread;
	void *result;

#ifdef __SANITIZE_ADDRESS__
	ksft_print_msg("the sanitizer sees another thread's variables on the agent's stack\n");
	exit(KSFT_SKIP);
#endif
	witness_new(ID(0));
	pthread_create(&thread, NULL, fork_in_worker, NULL);
	pthread_join(thread, &result);
	return result;
}

/* Without /proc: a deep stack, and a handler on a signal stack. */
static bool part_no_proc(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

#ifdef __SANITIZE_ADDRESS__
	ksft_print_msg("the sanitizer needs /proc\n");
	exit(KSFT_SKIP);
#endif
	if (setrlimit(RLIMIT_STACK, &limit) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", MS_RDONLY, NULL)) {
		ksft_print_msg("/proc can't be hidden: %s\n", strerror(errno));
		exit(KSFT_SKIP);
	}
	return !descend((40ul << 20) / FRAME_BYTES) && part_signal_stack();
}

/* ------------------------------------------------------------------------------------------ */
/* Mappings that come and go above a stack                                                    */
/* ------------------------------------------------------------------------------------------ */

static char *area;
static struct event mapped_enough;

/* What is unmapped may be another thread's at once, which the next mapping must not replace. */
static void *map_and_unmap(void *unused)
{
	(void)unused;
	while (!event_is_set(&mapped_enough)) {
		void *m = mmap(area + SMALL_STACK, 4ul << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1,
			       0);

		if (m == MAP_FAILED ? errno != EEXIST : munmap(m, 4ul << 20))
			ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	}
	return NULL;
}

static void many_cycles(void)
{
	handler_lost += !keeps_during(compute_during, 100, ID(12));
}

static bool part_unmapped(void)
{
	pthread_t thread;

	area = mmap(NULL, 8ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || mprotect(area, SMALL_STACK, PROT_READ | PROT_WRITE) ||
	    munmap(area + SMALL_STACK, (8ul << 20) - SMALL_STACK))
		ksft_exit_fail_msg("no area: %s\n", strerror(errno));
	pthread_create(&thread, NULL, map_and_unmap, NULL);
	on_stack(area, SMALL_STACK, many_cycles);
	event_set(&mapped_enough);
	pthread_join(thread, NULL);
	return !handler_lost;
}

/* ------------------------------------------------------------------------------------------ */
/* Frames that a sanitizer puts elsewhere                                                     */
/* ------------------------------------------------------------------------------------------ */

/* The address of an array is taken: the sanitizer has it in a frame of its own. */
static NOINLINE bool in_array(void (*during)(uintptr_t), uint64_t id)
{
	struct witness *volatile array[8];

	memset((void *)array, 0, sizeof(array));
	array[5] = witness_new(id);
	__asm__ volatile("" : : "r"(array) : "memory");
	wipe_stack();
	during(2);
	return witness_ok(array[5], id);
}

static void *with_arrays(void *unused)
{
	(void)unused;
	return (void *)(uintptr_t)(in_array(collect_here, ID(20)) &&
				   in_array(compute_during, ID(21)) &&
				   in_array(sleep_during, ID(22)));
}

static bool part_fake(void)
{
	return in_both_threads(with_arrays);
}

/* ------------------------------------------------------------------------------------------ */
/* A stack pointer that is just below a page                                                  */
/* ------------------------------------------------------------------------------------------ */

static struct event in_region;

static void *collect_in_region(void *cycles)
{
	event_wait(&in_region);
	return collector(cycles);
}

/*
 * An object that is held by a word @below bytes below a page that is as low as this stack has been
 * looked at, while the stack pointer is at that word.  The agent scans from there: the call that
 * begins a region leaves no frame.
 */
static NOINLINE bool held_below_page(size_t below)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t at = ((here - 2048) & ~(PAGE - 1)) - below;
	volatile uintptr_t *word = __builtin_alloca(here - at);
	pthread_t thread;

	/*
	 * The compiler has put it where the stack pointer is, which is in the last 16 bytes of what
	 * it has taken.
	 */
	while ((uintptr_t)word < at)
		word++;
	atomic_store(&collected.happened, 0);
	atomic_store(&in_region.happened, 0);
	if (pthread_create(&thread, NULL, collect_in_region, (void *)2))
		ksft_exit_fail_msg("no thread\n");
	*word = (uintptr_t)witness_new(ID(30));
	wipe_stack();
	tri_blocking_enter();
	event_set(&in_region);
	while (!event_is_set(&collected))
		sched_yield();
	tri_blocking_exit();
	pthread_join(thread, NULL);
	return witness_ok((void *)*word, ID(30));
}

/* Each time on a page of its own, below all that was looked at before. */
static NOINLINE bool held_below_pages(size_t below)
{
	volatile char frame[2 * PAGE];

	frame[0] = 0;
	if (!held_below_page(below)) {
		ksft_print_msg("lost: held %zu bytes below a page\n", below);
		return false;
	}
	return below > 160 || (held_below_pages(below + 8) && !frame[0]);
}

static bool part_page(void)
{
#ifdef __SANITIZE_ADDRESS__
	ksft_print_msg("the sanitizer has such an array elsewhere\n");
	exit(KSFT_SKIP);
#endif
	return held_below_pages(8);
}

/* ------------------------------------------------------------------------------------------ */
/* Running the parts                                                                          */
/* ------------------------------------------------------------------------------------------ */

static void no_limit(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_STACK, &limit);
}

static void fake_frames(void)
{
	setenv("ASAN_OPTIONS", "detect_stack_use_after_return=1", 1);
}

static const struct part parts[] = {
	{ "hole", part_hole, CLOBBER, "a protected page in a buffer on a stack", NULL, NULL },
	{ "hole", part_hole, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "raised", part_raised, CLOBBER, "a limit raised while the program runs, 110 MiB deep",
	  NULL, NULL },
	{ "raised", part_raised, PROBE, "no limit, without process_vm_readv()", no_limit, NULL },
	{ "coroutine", part_deep_coroutine, CLOBBER, "an unknown coroutine, 40 MiB deep", NULL,
	  NULL },
	{ "signal", part_signal_stack, CLOBBER, "handlers on a signal stack", NULL, NULL },
	{ "signal", part_signal_stack, CLOBBER, "the same without a limit of the stack", no_limit,
	  NULL },
	{ "signal", part_signal_stack, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "array", part_signal_array, CLOBBER, "a signal stack on the interrupted stack", NULL,
	  NULL },
	{ "disarm", part_autodisarm, CLOBBER, "a signal stack with SS_AUTODISARM", NULL, NULL },
	{ "grown", part_not_grown, CLOBBER, "a scan makes no stack grow", NULL, NULL },
	{ "grown", part_not_grown, PROBE, "the same without process_vm_readv() or a limit",
	  no_limit, NULL },
	{ "fork", part_forked_worker, CLOBBER, "the child of a worker", NULL, NULL },
	{ "noproc", part_no_proc, CLOBBER, "without /proc", no_limit, NULL },
	{ "fake", part_fake, CLOBBER, "arrays, in fake frames with a sanitizer", fake_frames,
	  NULL },
	{ "page", part_page, CLOBBER, "a stack pointer just below a page", NULL, NULL },
	{ "unmapped", part_unmapped, CLOBBER, "mappings come and go above a stack", NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_parts(parts, sizeof(parts) / sizeof(parts[0]), argc, argv);
}
