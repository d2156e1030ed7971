// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_coroutines.c - registered stacks: suspended, switched between, moved, unregistered
 *
 * Coroutines of three sorts: ucontext, whose registers are saved where the collector does not
 * look; a switcher of ours that pushes them, as most do; and ones that are preempted by a signal.
 * Objects are on their stacks and in their registers only.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lib/witness.h"

#define ID(n) (0x0a03000000000000ull + (uint64_t)(n))
#define STACK_BYTES 65536ul
#define PAGE 4096ul

/* ------------------------------------------------------------------------------------------ */
/* Two switchers                                                                              */
/* ------------------------------------------------------------------------------------------ */

/* Save where we are in *@from and go on at @to: callee-saved registers, and nothing else. */
void switch_sp(void **from, void *to);

__asm__(".pushsection .text\n"
	".globl switch_sp\n"
	".type switch_sp, @function\n"
	"switch_sp:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size switch_sp, .-switch_sp\n"
	".popsection\n");

struct coroutine {
	void (*fn)(struct coroutine *);
	char *memory;
	size_t len;
	tri_stack *stack;
	void *sp;			/* of our switcher */
	ucontext_t *context;		/* of ucontext; malloc()ed */
	struct coroutine *back;		/* who resumed it */
	uint64_t id;
	bool ucontext, over;
	unsigned int lost, rounds;
};

static __thread struct coroutine thread_coroutine;

static struct coroutine *thread_self(void)
{
	struct coroutine *c = &thread_coroutine;

	if (!c->stack) {
		c->stack = tri_stack_self();
		if (!c->stack)
			ksft_exit_fail_msg("tri_stack_self: %s\n", tri_error());
	}
	return c;
}

static NOINLINE void switch_to(struct coroutine *from, struct coroutine *to)
{
	int err;

	if (to->ucontext || from->ucontext) {
		struct coroutine *ours = to->ucontext ? to : from;
		ucontext_t *other = ours->context + 1;

		err = tri_stack_switch(to->stack);
		if (!err)
			swapcontext(to == ours ? other : ours->context,
				    to == ours ? ours->context : other);
	} else {
		err = tri_stack_switch(to->stack);
		if (!err)
			switch_sp(&from->sp, to->sp);
	}
	if (err)
		ksft_exit_fail_msg("tri_stack_switch: %s\n", tri_error());
}

static void resume(struct coroutine *c)
{
	struct coroutine *self = thread_self();

	c->back = self;
	switch_to(self, c);
}

static void suspend(struct coroutine *c)
{
	switch_to(c, c->back);
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

static struct coroutine *new_coroutine(void (*fn)(struct coroutine *), uint64_t id, bool ucontext)
{
	struct coroutine *c = calloc(1, sizeof(*c));

	c->fn = fn;
	c->id = id;
	c->ucontext = ucontext;
	c->len = STACK_BYTES;
	c->memory = mmap(NULL, c->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	c->stack = tri_stack_register(c->memory, c->len);
	if (c->memory == MAP_FAILED || !c->stack)
		ksft_exit_fail_msg("no coroutine: %s\n", tri_error());
	if (ucontext) {
		c->context = calloc(2, sizeof(*c->context));
		getcontext(c->context);
		c->context->uc_stack.ss_sp = c->memory;
		c->context->uc_stack.ss_size = c->len;
		makecontext(c->context, enter, 0);
	} else {
		uintptr_t *sp = (uintptr_t *)(c->memory + c->len - 64);

		sp[6] = (uintptr_t)enter;	/* below it six registers */
		c->sp = sp;
	}
	entering = c;
	return c;
}

static void free_coroutine(struct coroutine *c)
{
	if (tri_stack_unregister(c->stack))
		ksft_exit_fail_msg("tri_stack_unregister: %s\n", tri_error());
	munmap(c->memory, c->len);
	free(c->context);
	free(c);
}

/* ------------------------------------------------------------------------------------------ */
/* What they hold while they are suspended                                                    */
/* ------------------------------------------------------------------------------------------ */

/* One object in the frame, one in a register. */
static void hold(struct coroutine *c)
{
	struct witness *volatile in_frame = witness_new(c->id);
	register struct witness *in_register __asm__("rbx") = witness_new(c->id + 1);

	__asm__ volatile("" : "+r"(in_register));
	while (c->rounds) {
		suspend(c);
		__asm__ volatile("" : "+r"(in_register));
		c->lost += !witness_ok(in_frame, c->id) + !witness_ok(in_register, c->id + 1);
		c->rounds--;
	}
}

static bool test_suspended(bool ucontext)
{
	struct coroutine *c[8];
	unsigned int i, round, lost = 0;

	for (i = 0; i < 8; i++) {
		c[i] = new_coroutine(hold, ID(16 * i), ucontext);
		c[i]->rounds = 3;
		resume(c[i]);
	}
	for (round = 0; round < 3; round++) {
		collect_times(2);
		for (i = 0; i < 8; i++)
			resume(c[i]);
	}
	for (i = 0; i < 8; i++) {
		lost += c[i]->lost + !c[i]->over;
		free_coroutine(c[i]);
	}
	return !lost;
}

/* The stack that the thread was started on, while it runs on another for some cycles. */
static void collect_there(struct coroutine *c)
{
	struct witness *volatile w = witness_new(c->id);

	collect_times(3);
	c->lost += !witness_ok(w, c->id);
}

static NOINLINE bool holds_below(struct coroutine *c, unsigned int depth)
{
	struct witness *volatile w = witness_new(ID(200 + depth));
	bool ok = true;

	if (depth)
		ok = holds_below(c, depth - 1);
	else
		resume(c);
	return ok && witness_ok(w, ID(200 + depth));
}

static bool test_left_stack(void)
{
	struct coroutine *c = new_coroutine(collect_there, ID(300), true);
	bool ok = holds_below(c, 20) && !c->lost && c->over;

	free_coroutine(c);
	return ok;
}

/* What nothing holds any more goes, though it was on a stack once. */
static uintptr_t dropped;

static void hold_and_drop(struct coroutine *c)
{
	struct witness *volatile w = witness_new(c->id);

	dropped = hide(w);
	suspend(c);
	c->lost += !witness_ok(w, c->id);
	w = NULL;
	wipe_stack();
	suspend(c);
}

static bool test_dropped(void)
{
	struct coroutine *c = new_coroutine(hold_and_drop, ID(310), false);
	bool kept, gone;

	resume(c);
	collect_times(2);
	kept = hidden_ok(dropped, ID(310));
	resume(c);
	collect_times(3);
	gone = !is_object(dropped);
	if (!kept || !gone)
		ksft_print_msg("kept %d, gone %d\n", kept, gone);
	resume(c);
	free_coroutine(c);
	return kept && gone;
}

static void hold_for_ever(struct coroutine *c)
{
	struct witness *volatile w = witness_new(c->id);

	dropped = hide(w);
	suspend(c);
	c->lost += !witness_ok(w, c->id);
}

/* One that is never resumed: unregistered, it holds nothing. */
static NOINLINE void abandon_one(void)
{
	struct coroutine *c = new_coroutine(hold_for_ever, ID(320), false);

	resume(c);
	free_coroutine(c);
}

static bool test_unregistered(void)
{
	abandon_one();
	collect_times(3);
	return !is_object(dropped);
}

/* Guard pages inside the registered range, above what is used and below. */
static void hold_with_hole(struct coroutine *c)
{
	char buffer[4 * PAGE], *page = (char *)(((uintptr_t)buffer + PAGE - 1) & ~(PAGE - 1));

	memset(buffer, 0, sizeof(buffer));
	mprotect(page, PAGE, PROT_NONE);
	hold(c);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	__asm__ volatile("" : : "r"(buffer) : "memory");
}

static bool test_guarded(void)
{
	struct coroutine *c = new_coroutine(hold_with_hole, ID(330), false);
	bool ok;

	mprotect(c->memory, PAGE, PROT_NONE);
	c->rounds = 2;
	resume(c);
	collect_times(2);
	resume(c);
	collect_times(2);
	resume(c);
	ok = !c->lost && c->over;
	free_coroutine(c);
	return ok;
}

/* What a coroutine begins with lies on its stack before it first runs. */
static void take_argument(struct coroutine *c)
{
	struct witness *w = *(struct witness **)c->memory;

	c->lost += !witness_ok(w, c->id);
}

static NOINLINE struct coroutine *with_argument(void)
{
	struct coroutine *c = new_coroutine(take_argument, ID(340), false);

	*(struct witness **)c->memory = witness_new(ID(340));
	return c;
}

static bool test_argument(void)
{
	struct coroutine *c = with_argument();
	bool ok;

	collect_times(3);
	resume(c);
	ok = !c->lost && c->over;
	free_coroutine(c);
	return ok;
}

/* ------------------------------------------------------------------------------------------ */
/* Threads                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static struct event cycles_over;

static void *run_cycles(void *n)
{
	uintptr_t left = (uintptr_t)n;

	while (left--)
		collect();
	event_set(&cycles_over);
	return NULL;
}

#define SHARED 24
#define RUNNERS 3

static struct coroutine *shared[SHARED];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

/* Lists that change owners: what one coroutine drops another one may have taken. */
static void work(struct coroutine *c)
{
	struct witness *mine = witness_new(c->id), *volatile other = witness_new(c->id + 1);
	unsigned int n = 0;

	while (!event_is_set(&cycles_over)) {
		struct witness *next = witness_new(c->id + 2 + n++ % 8);

		c->lost += !witness_ok(other, other->id) + !witness_ok(mine, mine->id);
		other = mine;
		mine = next;
		suspend(c);
		c->lost += !witness_ok(other, other->id) + !witness_ok(mine, mine->id);
	}
}

/* Take any that nobody runs, go on in it for a while, give it back. */
static void *run_shared(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed;
	bool more = true;

	while (more) {
		struct coroutine *c = NULL;
		unsigned int i, at = (unsigned int)(draw(&state) % SHARED);

		pthread_mutex_lock(&shared_lock);
		more = false;
		for (i = 0; i < SHARED; i++) {
			struct coroutine **slot = &shared[(at + i) % SHARED];

			more |= !*slot || !(*slot)->over;
			if (!c && *slot && !(*slot)->over) {
				c = *slot;
				*slot = NULL;
				at = (at + i) % SHARED;
			}
		}
		pthread_mutex_unlock(&shared_lock);
		if (!c) {
			sched_yield();
			continue;
		}
		entering = c;
		resume(c);
		pthread_mutex_lock(&shared_lock);
		shared[at] = c;
		pthread_mutex_unlock(&shared_lock);
	}
	return NULL;
}

static bool test_moved(bool ucontext)
{
	pthread_t runner[RUNNERS], cycles;
	unsigned int i, lost = 0;

	atomic_store(&cycles_over.happened, 0);
	for (i = 0; i < SHARED; i++)
		shared[i] = new_coroutine(work, ID(1000 + 16 * i), ucontext);
	for (i = 0; i < RUNNERS; i++)
		pthread_create(&runner[i], NULL, run_shared, (void *)(uintptr_t)(7 + i));
	pthread_create(&cycles, NULL, run_cycles, (void *)40);
	pthread_join(cycles, NULL);
	for (i = 0; i < RUNNERS; i++)
		pthread_join(runner[i], NULL);
	for (i = 0; i < SHARED; i++) {
		lost += shared[i]->lost;
		free_coroutine(shared[i]);
	}
	if (lost)
		ksft_print_msg("%u lost\n", lost);
	return !lost;
}

/* Stacks are registered and unregistered while cycles run. */
static bool test_come_and_go(void)
{
	pthread_t cycles;
	unsigned int lost = 0, n = 0;

	atomic_store(&cycles_over.happened, 0);
	pthread_create(&cycles, NULL, run_cycles, (void *)40);
	while (!event_is_set(&cycles_over)) {
		struct coroutine *c = new_coroutine(hold, ID(2000), n++ & 1);

		c->rounds = 2;
		resume(c);
		resume(c);
		if (n % 3) {
			resume(c);
			lost += !c->over;
		}
		lost += c->lost;
		free_coroutine(c);
	}
	pthread_join(cycles, NULL);
	return !lost;
}

/* ------------------------------------------------------------------------------------------ */
/* Signals, fork, errors                                                                      */
/* ------------------------------------------------------------------------------------------ */

static struct coroutine *preempted;
static volatile bool want_preemption;

static void preempt(int sig)
{
	(void)sig;
	if (want_preemption) {
		want_preemption = false;
		suspend(preempted);
	}
}

static void compute(struct coroutine *c)
{
	struct witness *volatile w = witness_new(c->id);

	raise(SIGUSR2);			/* returns when somebody resumes it */
	c->lost += !witness_ok(w, c->id);
}

/* Suspended by a handler on its own stack; all registers are in the signal frame. */
static bool test_preempted(void)
{
	struct sigaction act = { .sa_handler = preempt, .sa_flags = SA_NODEFER };
	bool ok;

	sigaction(SIGUSR2, &act, NULL);
	preempted = new_coroutine(compute, ID(400), false);
	want_preemption = true;
	resume(preempted);
	collect_times(2);
	ok = !preempted->over;
	resume(preempted);
	ok &= preempted->over && !preempted->lost;
	free_coroutine(preempted);
	return ok;
}

/*
 * A coroutine forks: the child goes on in it, and goes back to the stack that its thread was
 * started on.
 */
static pid_t forked;

static void fork_there(struct coroutine *c)
{
	struct witness *volatile w;

	forked = fork();
	if (!forked) {
		w = witness_new(c->id);
		collect_times(2);
		c->lost += !witness_ok(w, c->id);
		suspend(c);
		c->lost += !witness_ok(w, c->id);
	}
}

static bool test_forked(void)
{
	struct coroutine *c = new_coroutine(fork_there, ID(500), false);
	struct witness *volatile w;
	int status;

	resume(c);
	if (!forked) {
		w = witness_new(ID(501));
		collect_times(2);
		if (!witness_ok(w, ID(501)))
			_exit(2);
		resume(c);
		_exit(c->lost || !c->over || tri_stack_unregister(c->stack) ? 1 : 0);
	}
	if (waitpid(forked, &status, 0) != forked)
		status = -1;
	free_coroutine(c);
	if (status)
		ksft_print_msg("the child's status is %#x\n", status);
	return !status;
}

static void try_unregister(struct coroutine *c)
{
	c->lost = tri_stack_unregister(c->stack) != -EBUSY;
}

static bool test_errors(void)
{
	static char memory[STACK_BYTES];
	tri_stack *s = tri_stack_register(memory, sizeof(memory));
	struct coroutine *c = new_coroutine(try_unregister, ID(600), false);
	bool ok = s && tri_stack_self() == thread_self()->stack;

	ok &= !tri_stack_register(NULL, 4096) && errno == EINVAL;
	ok &= !tri_stack_register(memory, 0) && errno == EINVAL;
	ok &= tri_stack_switch(NULL) == -EINVAL;
	ok &= tri_stack_switch(tri_stack_self()) == 0;
	ok &= tri_stack_unregister(tri_stack_self()) == -EINVAL;
	ok &= !tri_stack_unregister(NULL) && !tri_stack_unregister(s);
	ok &= tri_stack_unregister(s) == -EINVAL;
	ok &= tri_stack_switch(s) == -EBUSY && strstr(tri_error(), "registered");
	resume(c);
	ok &= !c->lost;
	free_coroutine(c);
	return ok;
}

int main(void)
{
	setenv("TRICOLOR_DEBUG", "clobberfree", 0);
	ksft_print_header();
	ksft_set_plan(13);
	ksft_test_result(test_suspended(false),
			 "suspended, with a switcher that pushes registers\n");
	ksft_test_result(test_suspended(true), "suspended, with ucontext\n");
	ksft_test_result(test_left_stack(), "the stack that the thread was started on\n");
	ksft_test_result(test_dropped(), "what is dropped goes\n");
	ksft_test_result(test_unregistered(), "what was on an unregistered stack goes\n");
	ksft_test_result(test_guarded(), "guard pages\n");
	ksft_test_result(test_argument(), "what is there before the first run\n");
	ksft_test_result(test_moved(false), "moved between threads\n");
	ksft_test_result(test_moved(true), "moved between threads, with ucontext\n");
	ksft_test_result(test_come_and_go(), "registered and unregistered while cycles run\n");
	ksft_test_result(test_preempted(), "preempted by a signal\n");
	ksft_test_result(test_forked(), "a child that goes on in a coroutine\n");
	ksft_test_result(test_errors(), "what makes no sense is refused\n");
	ksft_finished();
}
