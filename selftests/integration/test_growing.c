// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_growing.c - stacks of tri_stack_new(): they grow, end in a guard, and shrink in cycles
 *
 * mincore() tells how much memory a stack has.  A cycle is over when tri_gc() returns, so what it
 * gives back is gone by then.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#include "lib/scenario.h"
#include "lib/threads.h"

#define ID(n) (0x0a57000000000000ull + (uint64_t)(n))
#define PAGE 4096ul
#define MOST (8ul << 20)
#define DEEP (4ul << 20)
#define SMALL (96ul << 10)		/* a stack that has shrunk has no more */
#define GUARD 65536ul

struct coroutine {
	void (*fn)(struct coroutine *);
	char *memory;
	size_t most;
	tri_stack *stack;
	ucontext_t *context;		/* malloc()ed: its own, and that of who resumed it */
	tri_stack *back;
	uint64_t id;
	unsigned int lost;
	bool over;
};

/* Pages of [@memory, @memory + @len) that have memory, in bytes. */
static size_t resident(const char *memory, size_t len)
{
	static __thread unsigned char there[MOST / PAGE];
	size_t i, bytes = 0;

	if (mincore((void *)memory, len, there))
		ksft_exit_fail_msg("mincore: %s\n", strerror(errno));
	for (i = 0; i < len / PAGE; i++)
		bytes += (there[i] & 1) * PAGE;
	return bytes;
}

static void switch_to(tri_stack *stack, ucontext_t *from, ucontext_t *to)
{
	int err = tri_stack_switch(stack);

	if (err)
		ksft_exit_fail_msg("tri_stack_switch: %s\n", tri_error());
	swapcontext(from, to);
}

static NOINLINE void resume(struct coroutine *c)
{
	c->back = tri_stack_self();
	switch_to(c->stack, c->context + 1, c->context);
}

static NOINLINE void suspend(struct coroutine *c)
{
	switch_to(c->back, c->context, c->context + 1);
}

static __thread struct coroutine *entering;

static void enter(void)
{
	struct coroutine *c = entering;

	c->fn(c);
	c->over = true;
	suspend(c);
	abort();
}

static struct coroutine *new_coroutine(void (*fn)(struct coroutine *), uint64_t id)
{
	struct coroutine *c = calloc(1, sizeof(*c));

	c->fn = fn;
	c->id = id;
	c->most = MOST;
	c->memory = tri_stack_new(c->most);
	if (!c->memory)
		ksft_exit_fail_msg("tri_stack_new: %s\n", tri_error());
	c->stack = tri_stack_register(c->memory, c->most);
	if (!c->stack)
		ksft_exit_fail_msg("tri_stack_register: %s\n", tri_error());
	c->context = calloc(2, sizeof(*c->context));
	getcontext(c->context);
	c->context->uc_stack.ss_sp = c->memory;
	c->context->uc_stack.ss_size = c->most;
	makecontext(c->context, enter, 0);
	entering = c;
	return c;
}

static void free_coroutine(struct coroutine *c)
{
	if (tri_stack_free(c->memory))
		ksft_exit_fail_msg("tri_stack_free: %s\n", tri_error());
	free(c->context);
	free(c);
}

/* Use about @bytes of stack, an object in each frame, and see that none was lost. */
#define FRAME 4096ul

static NOINLINE unsigned int dive(size_t bytes, uint64_t id, void (*bottom)(void *arg), void *arg)
{
	volatile uint64_t pattern[FRAME / 8];
	struct witness *volatile w = bytes % (64 * FRAME) ? NULL : witness_new(id + bytes);
	unsigned int lost = 0;
	size_t i;

	for (i = 0; i < FRAME / 8; i++)
		pattern[i] = id + bytes + i;
	if (bytes > FRAME)
		lost = dive(bytes - FRAME, id, bottom, arg);
	else if (bottom)
		bottom(arg);
	for (i = 0; i < FRAME / 8; i++)
		lost += pattern[i] != id + bytes + i;
	return lost + (w && !witness_ok(w, id + bytes));
}

/* ------------------------------------------------------------------------------------------ */
/* Growing                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static void collect_here(void *unused)
{
	(void)unused;
	collect();
}

static void grow(struct coroutine *c)
{
	c->lost = dive(7ul << 20, c->id, collect_here, NULL);
}

static bool test_grows(void)
{
	struct coroutine *c = new_coroutine(grow, ID(0));
	size_t before = resident(c->memory, c->most);
	bool ok;

	resume(c);
	ok = c->over && !c->lost && before <= SMALL;
	free_coroutine(c);
	return ok;
}

/* Whether a fault is in the guard of the stack at @guarded. */
static char *guarded;

static void see_fault(int sig, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	(void)sig;
	(void)context;
	_exit(at >= guarded - GUARD && at < guarded ? 0 : 3);
}

static void overflow(struct coroutine *c)
{
	c->lost = dive(2 * MOST, c->id, NULL, NULL);
}

static bool overflows(void)
{
	static char space[65536];
	stack_t signal_stack = { .ss_sp = space, .ss_size = sizeof(space) };
	struct sigaction act = { .sa_sigaction = see_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct coroutine *c = new_coroutine(overflow, ID(0));

	guarded = c->memory;
	sigaltstack(&signal_stack, NULL);
	sigaction(SIGSEGV, &act, NULL);
	resume(c);
	return false;
}

/* ------------------------------------------------------------------------------------------ */
/* Shrinking                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static void dive_and_wait(struct coroutine *c)
{
	struct witness *volatile w = witness_new(c->id);
	volatile unsigned char used[2 * PAGE];
	size_t i;

	for (i = 0; i < sizeof(used); i++)
		used[i] = (unsigned char)(i * 7);
	for (;;) {
		c->lost += dive(DEEP, c->id + 1, NULL, NULL);
		suspend(c);
		for (i = 0; i < sizeof(used); i++)
			c->lost += used[i] != (unsigned char)(i * 7);
		c->lost += !witness_ok(w, c->id);
	}
}

static bool test_suspended(void)
{
	struct coroutine *c = new_coroutine(dive_and_wait, ID(10));
	unsigned int round;
	bool ok = true;

	for (round = 0; round < 3; round++) {
		size_t before, after;

		resume(c);
		before = resident(c->memory, c->most);
		collect();
		after = resident(c->memory, c->most);
		if (before < DEEP || after > SMALL) {
			ksft_print_msg("round %u: %zu bytes before, %zu after\n", round, before,
				       after);
			ok = false;
		}
	}
	resume(c);
	ok &= !c->lost;
	free_coroutine(c);
	return ok;
}

/* More than a quarter of what the stack has is used. */
static void wait_at_bottom(void *c)
{
	suspend(c);
}

static void dive_and_use(struct coroutine *c)
{
	c->lost += dive(DEEP, c->id, NULL, NULL);
	c->lost += dive(DEEP / 2, c->id, wait_at_bottom, c);
}

static bool test_used(void)
{
	struct coroutine *c = new_coroutine(dive_and_use, ID(20));
	size_t before, after;

	resume(c);
	before = resident(c->memory, c->most);
	collect_times(2);
	after = resident(c->memory, c->most);
	resume(c);
	if (before != after || c->lost || !c->over) {
		ksft_print_msg("%zu bytes before, %zu after, lost %u\n", before, after, c->lost);
		return false;
	}
	free_coroutine(c);
	return true;
}

/* The thread that runs on the stack gives back what it does not use. */
static NOINLINE void collect_at(struct coroutine *c, size_t offset)
{
	char above[offset + 1];
	struct witness *volatile w = witness_new(c->id);
	size_t before, after;

	__asm__ volatile("" : : "r"(above) : "memory");
	c->lost += dive(DEEP, c->id + 1, NULL, NULL);
	before = resident(c->memory, c->most);
	collect();
	after = resident(c->memory, c->most);
	if (before < DEEP || after > SMALL) {
		ksft_print_msg("%zu bytes before, %zu after\n", before, after);
		c->lost++;
	}
	c->lost += !witness_ok(w, c->id);
}

/* Frames of the handler may end anywhere in a page. */
static void collect_on_it(struct coroutine *c)
{
	size_t offset;

	for (offset = 0; offset < PAGE; offset += PAGE / 8)
		collect_at(c, offset);
}

static bool test_running(void)
{
	struct coroutine *c = new_coroutine(collect_on_it, ID(30));
	bool ok;

	resume(c);
	ok = c->over && !c->lost;
	free_coroutine(c);
	return ok;
}

/* With a signal stack: the library's handler runs there, and so may one of the program. */
static char signal_space[256 << 10];

static void set_signal_stack(bool on)
{
	stack_t stack = { .ss_sp = signal_space, .ss_size = sizeof(signal_space),
			  .ss_flags = on ? 0 : SS_DISABLE };

	sigaltstack(&stack, NULL);
}

static bool test_signal_stack(void)
{
	bool ok;

	set_signal_stack(true);
	ok = test_running();
	set_signal_stack(false);
	return ok;
}

static void collect_in_handler(int sig)
{
	(void)sig;
	collect();
}

static void raise_there(void *unused)
{
	(void)unused;
	raise(SIGUSR1);
}

/*
 * A handler on a signal stack that is an array of the coroutine's first frame, above what the
 * handler has interrupted.
 */
static void handle_above(struct coroutine *c)
{
	char space[65536];
	stack_t stack = { .ss_sp = space, .ss_size = sizeof(space) };

	c->lost += dive(DEEP, c->id, NULL, NULL);
	sigaltstack(&stack, NULL);
	c->lost += dive(DEEP / 16, c->id, raise_there, NULL);
	set_signal_stack(false);
}

static bool test_handler(void)
{
	struct sigaction act = { .sa_handler = collect_in_handler, .sa_flags = SA_ONSTACK };
	struct coroutine *c = new_coroutine(handle_above, ID(40));
	bool ok;

	sigaction(SIGUSR1, &act, NULL);
	resume(c);
	ok = c->over && !c->lost;
	free_coroutine(c);
	return ok;
}

/* The thread has said that it leaves the stack, and is still on it, far below that call. */
static struct event linger, lingers;

static void wait_for_cycle(void *unused)
{
	(void)unused;
	event_set(&lingers);
	event_wait(&linger);
}

static void say_and_stay(struct coroutine *c)
{
	c->lost += dive(DEEP, c->id, NULL, NULL);
	if (tri_stack_switch(c->back))
		abort();
	c->lost += dive(DEEP / 8, c->id, wait_for_cycle, NULL);
	if (tri_stack_switch(c->stack))
		abort();
}

static void *run_it(void *coroutine)
{
	entering = coroutine;
	resume(coroutine);
	return NULL;
}

static bool test_lingers(void)
{
	struct coroutine *c = new_coroutine(say_and_stay, ID(50));
	pthread_t thread = start_thread(run_it, c);
	bool ok;

	event_wait(&lingers);
	collect_times(2);
	event_set(&linger);
	must(pthread_join(thread, NULL), "pthread_join");
	ok = c->over && !c->lost;
	free_coroutine(c);
	return ok;
}

/* The same, and a handler takes the thread away from the stack at that moment. */
static struct coroutine *preempted;

static void preempt(int sig)
{
	(void)sig;
	suspend(preempted);
}

static void raise_preemption(void *unused)
{
	(void)unused;
	raise(SIGUSR2);
}

static void say_and_be_preempted(struct coroutine *c)
{
	c->lost += dive(DEEP, c->id, NULL, NULL);
	if (tri_stack_switch(c->back))
		abort();
	c->lost += dive(DEEP / 8, c->id, raise_preemption, NULL);
	suspend(c);
}

static bool test_preempted(void)
{
	struct sigaction act = { .sa_handler = preempt };
	bool ok;

	sigaction(SIGUSR2, &act, NULL);
	preempted = new_coroutine(say_and_be_preempted, ID(60));
	resume(preempted);
	collect_times(2);
	resume(preempted);
	ok = !preempted->lost;
	free_coroutine(preempted);
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* Many, and fork                                                                             */
/* ------------------------------------------------------------------------------------------ */

#define MANY 32
#define RUNNERS 3

static struct event cycles_over;
static struct coroutine *many[MANY];
static pthread_mutex_t many_lock = PTHREAD_MUTEX_INITIALIZER;

static void work(struct coroutine *c)
{
	uint64_t state = c->id;
	struct witness *volatile w = witness_new(c->id);

	while (!event_is_set(&cycles_over)) {
		size_t deep = draw(&state) % 4 ? 0 : (draw(&state) % 256 + 1) * FRAME;

		if (deep)
			c->lost += dive(deep, c->id, draw(&state) % 2 ? wait_at_bottom : NULL, c);
		suspend(c);
		c->lost += !witness_ok(w, c->id);
	}
}

static void *run_many(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed;
	unsigned int left = MANY;

	while (left) {
		struct coroutine **slot = &many[draw(&state) % MANY], *c;

		pthread_mutex_lock(&many_lock);
		c = *slot;
		if (c && !c->over)
			*slot = NULL;
		else
			c = NULL;
		pthread_mutex_unlock(&many_lock);
		if (c) {
			entering = c;
			resume(c);
		}
		pthread_mutex_lock(&many_lock);
		if (c)
			*slot = c;
		for (left = 0, slot = many; slot < many + MANY; slot++)
			left += !*slot || !(*slot)->over;
		pthread_mutex_unlock(&many_lock);
	}
	return NULL;
}

static bool test_many(void)
{
	pthread_t runner[RUNNERS];
	unsigned int i, lost = 0;

	for (i = 0; i < MANY; i++)
		many[i] = new_coroutine(work, ID(0x10000000ull * (i + 1)));
	for (i = 0; i < RUNNERS; i++)
		runner[i] = start_thread(run_many, (void *)(uintptr_t)(11 + i));
	for (i = 0; i < 40; i++)
		collect();
	event_set(&cycles_over);
	for (i = 0; i < RUNNERS; i++)
		must(pthread_join(runner[i], NULL), "pthread_join");
	for (i = 0; i < MANY; i++) {
		lost += many[i]->lost;
		free_coroutine(many[i]);
	}
	if (lost)
		ksft_print_msg("%u lost\n", lost);
	return !lost;
}

/* Parent and child go on with the same stack, each with its own memory of it. */
static bool test_forked(void)
{
	struct coroutine *c = new_coroutine(dive_and_wait, ID(70));
	pid_t child;
	bool ok;

	resume(c);
	child = fork();
	if (!child) {
		size_t before = resident(c->memory, c->most), after;

		collect();
		after = resident(c->memory, c->most);
		resume(c);
		_exit(before < DEEP || after > SMALL || c->lost || tri_stack_free(c->memory));
	}
	ok = !status_of(child);
	ok &= resident(c->memory, c->most) >= DEEP;
	resume(c);
	ok &= !c->lost;
	free_coroutine(c);
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* Errors                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void free_own(struct coroutine *c)
{
	c->lost = tri_stack_free(c->memory) != -EBUSY;
}

static bool test_errors(void)
{
	struct coroutine *c = new_coroutine(free_own, ID(80));
	char *memory = tri_stack_new(1);

	CHECK(!tri_stack_new(0) && errno == EINVAL);
	CHECK(!tri_stack_new((1ul << 30) + 1) && errno == EINVAL && strstr(tri_error(), "1 GiB"));
	CHECK(!tri_stack_new(SIZE_MAX) && errno == EINVAL);
	CHECK(memory && !((uintptr_t)memory & (PAGE - 1)));
	memory[PAGE - 1] = 1;
	CHECK(tri_stack_free(memory + 8) == -EINVAL);
	CHECK(tri_stack_free(c) == -EINVAL && !tri_stack_free(NULL));
	CHECK(!tri_stack_free(memory) && tri_stack_free(memory) == -EINVAL);
	CHECK(!tri_stack_register(c->memory, c->most) && errno == EBUSY);
	resume(c);
	CHECK(!c->lost && !tri_stack_unregister(c->stack));
	c->stack = tri_stack_register(c->memory, c->most);
	CHECK(c->stack);
	free_coroutine(c);
	return true;
}

static bool no_space(void)
{
	struct rlimit limit = { 1ul << 30, 1ul << 30 };

	CHECK(!tri_init(NULL) && !setrlimit(RLIMIT_AS, &limit));
	CHECK(!tri_stack_new(1ul << 30) && errno == ENOMEM && strstr(tri_error(), "RLIMIT_AS"));
	return true;
}

int main(void)
{
	setenv("TRICOLOR_DEBUG", "clobberfree", 0);
	ksft_print_header();
	ksft_set_plan(13);
	ksft_test_result(scenario(overflows), "a stack that is too small ends in its guard\n");
	ksft_test_result(scenario(no_space), "no address space\n");
	ksft_test_result(test_grows(), "a stack grows as it is touched\n");
	ksft_test_result(test_suspended(), "a suspended stack shrinks\n");
	ksft_test_result(test_used(), "a stack that is used does not\n");
	ksft_test_result(test_running(), "the stack that a thread runs on shrinks\n");
	ksft_test_result(test_signal_stack(), "with a signal stack elsewhere, too\n");
	ksft_test_result(test_handler(), "not below a signal stack that is a part of it\n");
	ksft_test_result(test_lingers(), "not while a thread is about to leave it\n");
	ksft_test_result(test_preempted(), "nor if the thread was preempted then\n");
	ksft_test_result(test_many(), "many, moved between threads while cycles run\n");
	ksft_test_result(test_forked(), "in a child of fork()\n");
	ksft_test_result(test_errors(), "what makes no sense is refused\n");
	ksft_finished();
}
