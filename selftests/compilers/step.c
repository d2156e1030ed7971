// SPDX-License-Identifier: GPL-2.0-only
/*
 * step.c - run generated loops with a collection at each instruction
 *
 *	step [-v] [N]	all loops, or only number N
 *
 * No collector is fast enough to collect at each instruction, so this one is a model of what the
 * library finds in an interrupted thread.  The trap flag makes each instruction end in a signal,
 * whose handler looks for the objects, by the library's rules: every aligned word of the signal
 * frame (all registers) and of the stack from its red zone up, one past the end included; in the C
 * library sums of registers too; and what is reached from there.  An object that it does not find
 * is as good as freed: its page is taken away at once.  So a later access to it is a fault, for
 * sure, and each has a name: which loop, where it was lost, where used.
 *
 * What only reads such an object and comes to the same result has read what it did not use
 * (a vector load of a whole group): that is no fault.  A store is.
 *
 * The loop runs on a stack of its own.  Nothing but the registers that its parameters are in holds
 * its objects when it begins.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "draw.h"
#include "loops.h"
#include "libclient/roots/registers.h"

#define MAX_STEPS 4000
#define STRIDE 8192			/* an object has a page, and one that is never there
					 * behind it */
#define PAGE 4096
#define OBJECTS (3 * (ELEMENTS + 1))
#define STACK_BYTES 65536

struct object {
	char *start;
	size_t bytes;
	bool used, holds_pointers;
	bool dead;			/* not found at some instruction: its page is gone */
	uint64_t lost_at;		/* that instruction */
	unsigned long lost_step;
};

static struct object objects[OBJECTS];
static char *arena, *stack;
static struct node poison;

/* The linker's: the code of this program. */
extern const char __executable_start[], etext[];

static unsigned long steps, all_steps;
static struct {
	bool read, written;
	uint64_t at;
	const struct object *object;
} touched;

/* ------------------------------------------------------------------------------------------ */
/* The collector                                                                              */
/* ------------------------------------------------------------------------------------------ */

static bool found[OBJECTS];

static void find(uint64_t word)
{
	uint64_t offset = word - (uint64_t)(uintptr_t)arena;
	struct object *o;

	if (offset >= (uint64_t)OBJECTS * STRIDE)
		return;
	o = &objects[offset / STRIDE];
	if (o->used && word >= (uint64_t)(uintptr_t)o->start &&
	    word - (uint64_t)(uintptr_t)o->start <= o->bytes)
		found[offset / STRIDE] = true;
}

__attribute__((no_sanitize("address")))
static void find_words(uintptr_t lo, uintptr_t hi)
{
	const uint64_t *p = (const uint64_t *)((lo + 7) & ~7ul);

	for (; p < (const uint64_t *)hi; p++)
		find(*p);
}

static void find_candidates(void *unused, const uint64_t *words)
{
	(void)unused;
	find_words((uintptr_t)words, (uintptr_t)(words + TRI_CANDIDATES));
}

/*
 * What is found leads on; once is enough for a pointer array, and a list needs as many as it is
 * long.
 */
static void trace(void)
{
	bool again = true, was[OBJECTS], seen[OBJECTS] = { false };
	int i;

	while (again) {
		again = false;
		memcpy(was, found, sizeof(was));
		for (i = 0; i < OBJECTS; i++) {
			if (!was[i] || seen[i] || !objects[i].holds_pointers || objects[i].dead)
				continue;
			seen[i] = again = true;
			find_words((uintptr_t)objects[i].start,
				   (uintptr_t)objects[i].start + objects[i].bytes);
		}
	}
}

static uintptr_t frame_end(const ucontext_t *uc)
{
	const char *fp = (const char *)uc->uc_mcontext.fpregs;
	uint32_t magic, size;

	memcpy(&magic, fp + 464, sizeof(magic));
	memcpy(&size, fp + 468, sizeof(size));
	return (uintptr_t)fp + (magic == 0x46505853 ? size : 512);
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	uint64_t sp = (uint64_t)regs[REG_RSP];
	int i;

	(void)sig, (void)info;
	if (sp < (uint64_t)(uintptr_t)stack || sp > (uint64_t)(uintptr_t)stack + STACK_BYTES)
		return;
	if (++steps > MAX_STEPS) {
		regs[REG_EFL] &= ~0x100l;
		return;
	}
	memset(found, 0, sizeof(found));
	find_words((uintptr_t)uc, frame_end(uc));
	find_words(sp - 128, (uintptr_t)stack + STACK_BYTES);
	/*
	 * The library makes no difference; but a loop should not need what is there for the C
	 * library.
	 */
	if ((uint64_t)regs[REG_RIP] - (uint64_t)(uintptr_t)__executable_start >=
	    (uint64_t)(etext - __executable_start))
		tri_register_candidates(regs, (uint64_t)(uintptr_t)arena,
					(uint64_t)OBJECTS * STRIDE, find_candidates, NULL);
	trace();
	for (i = 0; i < OBJECTS; i++) {
		struct object *o = &objects[i];

		if (!o->used || o->dead || found[i])
			continue;
		o->dead = true;
		o->lost_at = (uint64_t)regs[REG_RIP];
		o->lost_step = steps;
		if (mprotect(arena + (size_t)i * STRIDE, PAGE, PROT_NONE))
			abort();
	}
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t offset = (uint64_t)((char *)info->si_addr - arena), *word;
	bool stores = uc->uc_mcontext.gregs[REG_ERR] & 2;
	struct object *o = &objects[offset / STRIDE];

	(void)sig;
	if (offset >= (uint64_t)OBJECTS * STRIDE || !o->dead) {
		static const char text[] = "a loop is wrong in itself\n";

		if (write(2, text, sizeof(text) - 1) < 0)
			_exit(4);
		_exit(3);
	}
	if (!touched.written) {
		touched.at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
		touched.object = o;
	}
	touched.read |= !stores;
	touched.written |= stores;
	if (mprotect(arena + offset / STRIDE * STRIDE, PAGE, PROT_READ | PROT_WRITE))
		abort();
	for (word = (uint64_t *)o->start; word < (uint64_t *)(o->start + o->bytes); word++)
		*word = (uint64_t)(uintptr_t)&poison;
}

/* ------------------------------------------------------------------------------------------ */
/* A loop                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Of an element, and of what is before the first. */
static const size_t size_of[] = {
	[LONGS] = 8,
	[INTS] = 4,
	[SHORTS] = 2,
	[BYTES] = 1,
	[DOUBLES] = 8,
	[ONES] = sizeof(struct one),
	[TWOS] = sizeof(struct two),
	[THREES] = sizeof(struct three),
	[TRIPLES] = sizeof(struct triple),
	[FIVES] = sizeof(struct five),
	[MATRIX] = 6 * sizeof(long),
	[LONG_VECTOR] = sizeof(long),
	[TWO_VECTOR] = sizeof(struct two),
	[FIVE_VECTOR] = sizeof(struct five),
	[TABLE] = 6 * sizeof(long),
	[POINTERS] = 8,
};

static const size_t head_of[LIST] = {
	[LONG_VECTOR] = offsetof(struct long_vector, v),
	[TWO_VECTOR] = offsetof(struct two_vector, v),
	[FIVE_VECTOR] = offsetof(struct five_vector, v),
	[TABLE] = offsetof(struct table, v),
};

/* Small numbers everywhere, so that a double holds them too. */
static void fill(const struct object *o, enum kind kind, uint64_t *seed)
{
	size_t i, k;

	for (i = 0; i < o->bytes / 8; i++)
		((long *)o->start)[i] = (long)draw_below(seed, 64);
	for (i = 0; i < ELEMENTS; i++) {
		if (kind == DOUBLES)
			((double *)o->start)[i] = (double)draw_below(seed, 64);
		else if (kind == TWOS)
			((struct two *)o->start)[i].e = (double)draw_below(seed, 64);
		else if (kind == TWO_VECTOR)
			((struct two_vector *)o->start)->v[i].e = (double)draw_below(seed, 64);
		else if (kind == INTS)
			((int *)o->start)[i] = (int)draw_below(seed, 64);
		else if (kind == SHORTS)
			((short *)o->start)[i] = (short)draw_below(seed, 64);
		else if (kind == BYTES)
			((unsigned char *)o->start)[i] = (unsigned char)draw_below(seed, 64);
		else if (kind == THREES)
			for (k = 0; k < 3; k++)
				((struct three *)o->start)[i].in[k].x = (int)draw_below(seed, 64);
	}
}

static struct object *make(int place, size_t bytes, uint64_t *seed)
{
	struct object *o = &objects[place];

	memset(o, 0, sizeof(*o));
	o->used = true;
	o->bytes = bytes;
	o->start = arena + (size_t)place * STRIDE + 16 * draw_below(seed, (PAGE - bytes) / 16 + 1);
	if (mprotect(arena + (size_t)place * STRIDE, PAGE, PROT_READ | PROT_WRITE))
		abort();
	return o;
}

/*
 * Parameter @i: an object, and those that it leads to.  The collector must not see it on the way.
 */
static uint64_t prepare(int i, enum kind kind, uint64_t *seed)
{
	int first = 3 + i * ELEMENTS, k;
	struct object *o, *n;

	if (kind == NONE)
		return 0;
	if (kind == POINTERS || kind == LIST) {
		for (k = 0; k < ELEMENTS; k++) {
			n = make(first + k, sizeof(struct node), seed);
			fill(n, LONGS, seed);
			n->holds_pointers = true;
			((struct node *)n->start)->next = NULL;
			if (k && kind == LIST)
				((struct node *)objects[first + k - 1].start)->next =
					(void *)n->start;
		}
		if (kind == LIST)
			return (uint64_t)(uintptr_t)objects[first].start;
	}
	o = make(i, head_of[kind] + size_of[kind] * ELEMENTS, seed);
	fill(o, kind, seed);
	o->holds_pointers = kind == POINTERS;
	for (k = 0; kind == POINTERS && k < ELEMENTS; k++)
		((void **)o->start)[k] = objects[first + k].start;
	return (uint64_t)(uintptr_t)o->start;
}

uint64_t arguments[6], own_sp, new_sp, target, flags;

/* Call @target with @arguments on the stack at @new_sp with nothing in other registers. */
uint64_t run(void);
__asm__(".text\n"
	".type run, @function\n"
	"run:\n\t"
	"pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"movq %rsp, own_sp(%rip)\n\t"
	"movq new_sp(%rip), %rsp\n\t"
	"xorl %eax, %eax\n\txorl %ebx, %ebx\n\txorl %ebp, %ebp\n\txorl %r10d, %r10d\n\t"
	"xorl %r12d, %r12d\n\txorl %r13d, %r13d\n\txorl %r14d, %r14d\n\txorl %r15d, %r15d\n\t"
	"movq target(%rip), %r11\n\t"
	"movq arguments+0(%rip), %rdi\n\t"
	"movq arguments+8(%rip), %rsi\n\t"
	"movq arguments+16(%rip), %rdx\n\t"
	"movq arguments+24(%rip), %rcx\n\t"
	"movq arguments+32(%rip), %r8\n\t"
	"movq arguments+40(%rip), %r9\n\t"
	"pushq flags(%rip)\n\t"
	"popfq\n\t"
	"call *%r11\n\t"
	"pushq $0x202\n\t"
	"popfq\n\t"
	"movq own_sp(%rip), %rsp\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\t"
	"ret\n\t"
	".size run, . - run\n"
	".globl safepoint\n"
	".type safepoint, @function\n"
	"safepoint:\n\t"
	"leaq 1(%rdi), %rax\n\t"
	"xorl %ecx, %ecx\n\txorl %edx, %edx\n\txorl %esi, %esi\n\txorl %edi, %edi\n\t"
	"xorl %r8d, %r8d\n\txorl %r9d, %r9d\n\txorl %r10d, %r10d\n\txorl %r11d, %r11d\n\t"
	".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\tpxor %xmm\\r, %xmm\\r\n\t.endr\n\t"
	"ret\n\t"
	".size safepoint, . - safepoint\n");

static uint64_t call(const struct loop *l, uint64_t seed, long n, long k, bool stepped)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		objects[i].used = false;
	for (i = 0; i < 3; i++)
		arguments[i] = prepare(i, l->kinds[i], &seed);
	arguments[3] = (uint64_t)n;
	arguments[4] = (uint64_t)k;
	arguments[5] = BIAS;
	memset(stack, 0, STACK_BYTES);
	memset(&touched, 0, sizeof(touched));
	new_sp = (uint64_t)(uintptr_t)stack + STACK_BYTES - 64;
	target = (uint64_t)(uintptr_t)l->run;
	flags = stepped ? 0x302 : 0x202;
	steps = 0;
	return run();
}

static bool verbose;

static int check(unsigned int number)
{
	static const long biases[] = { 0, 1, 4, 100, -100, 1 << 20, -(1 << 20), 6 };
	uint64_t seed = (number + 1) * 0x9e3779b97f4a7c15ull | 1, plain, stepped;
	long n = (long)(8 + draw_below(&seed, draw_below(&seed, 4) ? 4 : ELEMENTS - 7)),
	     k = biases[draw_below(&seed, 8)];
	const struct loop *l = &loops[number];

	plain = call(l, seed, n, k, false);
	stepped = call(l, seed, n, k, true);
	all_steps += steps;
	if (!touched.written && plain == stepped) {
		if (verbose && touched.read)
			printf("# loop %u reads what it does not use at %#lx\n", number,
			       touched.at);
		return 0;
	}
	printf("# loop %u (n %ld, k %ld): an object is lost at %#lx (step %lu) and %s at %#lx\n",
	       number, n, k, touched.object ? touched.object->lost_at : 0,
	       touched.object ? touched.object->lost_step : 0, touched.written ? "written" : "read",
	       touched.at);
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t alternate = { .ss_size = 1 << 16 };
	unsigned int i, faults = 0, first = 0, end = nloops;

	verbose = argc > 1 && !strcmp(argv[1], "-v");
	if (argc > 1 + verbose) {
		first = (unsigned int)atoi(argv[1 + verbose]);
		end = first + 1;
	}
	arena = mmap(NULL, (size_t)OBJECTS * STRIDE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	alternate.ss_sp = malloc(alternate.ss_size);
	if (arena == MAP_FAILED || stack == MAP_FAILED || sigaltstack(&alternate, NULL))
		return 2;
	act.sa_sigaction = on_step;
	sigaction(SIGTRAP, &act, NULL);
	act.sa_sigaction = on_fault;
	sigaction(SIGSEGV, &act, NULL);
	for (i = first; i < end; i++)
		faults += (unsigned int)check(i);
	printf("# %u loops, %lu instructions, %u lost objects\n", end - first, all_steps, faults);
	return faults != 0;
}
