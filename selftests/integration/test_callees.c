// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_callees.c - the C library's string functions, interrupted at each of their instructions
 *
 * The last reference to an object is an argument of strcmp(), memcpy() and so on, which are written
 * in assembly and keep it as they like.  A tracer steps a thread of a forked client, the subject,
 * through such a call.  At each instruction it asks for a cycle, waits until the handshake's signal
 * is pending, and lets the thread take it with the trap flag set: the handler runs as it always
 * does, returns, and the one instruction that it interrupted ends in a trap.  Then the cycle is
 * over, and with `clobberfree` the object is overwritten if it was not found: the function's result
 * is wrong.
 *
 * An instruction is interrupted the first time that the thread comes to it: a loop repeats itself.
 *
 * The C library chooses by processor between functions that are written differently: all of it is
 * done for each choice, by GLIBC_TUNABLES.  A callee that forgets its argument shows that a loss is
 * seen.
 */
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <wchar.h>

#include "lib/process.h"
#include "tricolor.h"

/*
 * Lengths of strings: for the loops of all functions, and for objects that begin at all multiples
 * of 32, or of 16 (with 16 bytes of zeros they fill slots of 416 and 240 bytes).
 */
static const unsigned int lengths[] = { 400, 224 };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))
#define MAX_BYTES 400

#define MAX_PLACES 4096			/* instructions of one call */
#define TIMES 1				/* that each is interrupted */
#define MAX_STEPS 20000			/* far more than it takes; one that has lost its object
					 * may run on */
#define TRAP_FLAG 0x100ul
/* In struct callee.argument: an object of the subject's, a string's length. */
#define POINTER (1ul << 63)
#define BYTES (1ul << 62)

enum what { SOURCE, OTHER, TARGET, OBJECTS };

struct callee {
	const char *name;
	void *function;
	uint64_t argument[3];		/* a number, or POINTER | enum what, or BYTES */
	bool copies;			/* what it returns must begin with the source's beginning */
	bool finds;			/* returns NULL, or not */
	bool forgets;			/* the control: the object must be lost */
};

static char copy[2 * MAX_BYTES];		/* no object */

/* What client and tracer share. */
struct shared {
	_Atomic pid_t subject;
	_Atomic uint32_t traced;
	_Atomic uint32_t cycle_asked, cycle_done;
	_Atomic uint32_t over, stop;
	_Atomic uint32_t right, wrong;
	char names[400];		/* of functions with a wrong result */
};

static struct shared *shared;

/* ------------------------------------------------------------------------------------------ */
/* The client                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/*
 * Call `callee_function` with the arguments, of which pointers are stored inverted, and nothing in
 * other registers or below the stack pointer.
 */
uint64_t callee_function, callee_argument[3], callee_inverted[3], callee_result;
void call_hidden(void);
extern const char call_hidden_call[], call_hidden_return[];
uint64_t forget(uint64_t pointer);
__asm__(".text\n"
	".globl call_hidden, call_hidden_call, call_hidden_return, forget\n"
	".type call_hidden, @function\n"
	"call_hidden:\n\t"
	"pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"subq $8, %rsp\n\t"
	"leaq -1024(%rsp), %rdi\n\t"
	"movl $128, %ecx\n\t"
	"xorl %eax, %eax\n\t"
	"rep stosq\n\t"
	".irp r,eax,ebx,ebp,r8d,r9d,r10d,r12d,r13d,r14d,r15d\n\txorl %\\r, %\\r\n\t.endr\n\t"
	".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\tpxor %xmm\\r, %xmm\\r\n\t.endr\n\t"
	"movq callee_argument(%rip), %rdi\n\t"
	"xorq callee_inverted(%rip), %rdi\n\t"
	"movq callee_argument+8(%rip), %rsi\n\t"
	"xorq callee_inverted+8(%rip), %rsi\n\t"
	"movq callee_argument+16(%rip), %rdx\n\t"
	"xorq callee_inverted+16(%rip), %rdx\n\t"
	"movq callee_function(%rip), %r11\n\t"
	"xorl %ecx, %ecx\n"
	"call_hidden_call:\n\t"
	"call *%r11\n"
	"call_hidden_return:\n\t"
	"movq %rax, callee_result(%rip)\n\t"
	"addq $8, %rsp\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\t"
	"ret\n\t"
	".size call_hidden, . - call_hidden\n"
	".type forget, @function\n"
	"forget:\n\t"
	"notq %rdi\n\t"
	"nop\n\tnop\n\tnop\n\tnop\n\t"
	"notq %rdi\n\t"
	"movzbl (%rdi), %eax\n\t"
	"ret\n\t"
	".size forget, . - forget\n");

static struct callee callees[] = {
	{ "forget", forget, { POINTER | SOURCE }, .forgets = true },
	{ "memcpy from", memcpy, { (uint64_t)0, POINTER | SOURCE, BYTES }, .copies = true },
	{ "memcpy of 100 bytes", memcpy, { (uint64_t)0, POINTER | SOURCE, 100 }, .copies = true },
	{ "memcpy to", memcpy, { POINTER | TARGET, POINTER | SOURCE, BYTES }, .copies = true },
	{ "memmove", memmove, { POINTER | TARGET, POINTER | SOURCE, BYTES }, .copies = true },
	{ "memset", memset, { POINTER | TARGET, 'a', BYTES }, .copies = true },
	{ "memcmp", memcmp, { POINTER | SOURCE, POINTER | OTHER, BYTES }, .copies = false },
	{ "memchr", memchr, { POINTER | SOURCE, 'z', BYTES }, .finds = true },
	{ "memrchr", memrchr, { POINTER | SOURCE, 'z', BYTES }, .finds = true },
	{ "strlen", strlen, { POINTER | SOURCE }, .copies = false },
	{ "strnlen", strnlen, { POINTER | SOURCE, BYTES }, .copies = false },
	{ "strchr", strchr, { POINTER | SOURCE, 'z' }, .finds = true },
	{ "strrchr", strrchr, { POINTER | SOURCE, 'z' }, .finds = true },
	{ "strcmp", strcmp, { POINTER | SOURCE, POINTER | OTHER }, .copies = false },
	{ "strncmp", strncmp, { POINTER | SOURCE, POINTER | OTHER, BYTES }, .copies = false },
	{ "strcasecmp", strcasecmp, { POINTER | SOURCE, POINTER | OTHER }, .copies = false },
	{ "strcpy from", strcpy, { (uint64_t)0, POINTER | SOURCE }, .copies = true },
	{ "strcpy to", strcpy, { POINTER | TARGET, POINTER | SOURCE }, .copies = true },
	{ "strncpy", strncpy, { (uint64_t)0, POINTER | SOURCE, BYTES }, .copies = true },
	{ "strcat", strcat, { (uint64_t)0, POINTER | SOURCE }, .copies = true },
	{ "strstr", strstr, { POINTER | SOURCE, (uint64_t)"zz" }, .finds = true },
	{ "strspn", strspn, { POINTER | SOURCE, (uint64_t)"ab" }, .copies = false },
	{ "wcslen", wcslen, { POINTER | SOURCE }, .copies = false },
	{ "wcscmp", wcscmp, { POINTER | SOURCE, POINTER | OTHER }, .copies = false },
};

#define CALLEES (sizeof(callees) / sizeof(callees[0]))

static __attribute__((noinline)) void scrub(void)
{
	volatile char below[16384];

	memset((void *)below, 0, sizeof(below));
}

/* Objects with a string each, at addresses that no vector is aligned to; kept by nothing. */
static __attribute__((noinline)) void prepare(const struct callee *c, unsigned int bytes)
{
	static unsigned int round;
	uint64_t hidden[OBJECTS];
	char *object;
	int i;

	for (i = 0; i < OBJECTS; i++) {
		object = tri_alloc_leaf(bytes + 16);
		if (!object)
			_exit(9);
		/* Not always with the same distance. */
		if (round++ % 3 == 0)
			tri_alloc_leaf(bytes + 16);
		memset(object, i == TARGET ? 0 : 'a', bytes);
		hidden[i] = ~(uint64_t)(uintptr_t)object;
	}
	memset(copy, 0, sizeof(copy));
	callee_function = (uint64_t)(uintptr_t)c->function;
	for (i = 0; i < 3; i++) {
		bool pointer = c->argument[i] & POINTER;

		callee_argument[i] = pointer ? hidden[c->argument[i] & ~POINTER] :
				     c->argument[i] == BYTES ? bytes : c->argument[i];
		callee_inverted[i] = pointer ? ~0ul : 0;
		if (!i && !c->argument[i])
			callee_argument[i] = (uint64_t)(uintptr_t)copy;
	}
}

/* Whether the callee gives what it gave when nobody interrupted it. */
static bool right(const struct callee *c, size_t length, bool compare)
{
	static uint64_t expected[LENGTHS][CALLEES];
	uint64_t *e = &expected[length][c - callees], result = callee_result;
	const char *bytes = (const char *)callee_result;
	size_t i;

	for (i = 0; c->copies && i < 100; i++)
		if (bytes[i] != 'a')
			return false;
	if (c->copies)
		return true;
	/*
	 * Of an int the upper half of the register is anything; addresses differ from turn to turn.
	 */
	result = c->finds ? result != 0 : (uint32_t)result;
	if (!compare)
		*e = result;
	return result == *e;
}

static void one_call(const struct callee *c, size_t length, bool traced)
{
	prepare(c, lengths[length]);
	scrub();
	call_hidden();
	if (right(c, length, traced) != c->forgets) {
		shared->right += traced;
	} else if (traced) {
		shared->wrong++;
		strncat(shared->names, c->name, sizeof(shared->names) - strlen(shared->names) - 4);
		strcat(shared->names, "; ");
	}
}

static void *subject(void *unused)
{
	size_t length, i;

	(void)unused;
	tri_thread_attach();
	for (length = 0; length < LENGTHS; length++)
		for (i = 0; i < CALLEES; i++)
			one_call(&callees[i], length, false);
	shared->subject = gettid();
	while (!shared->traced)
		tri_poll();
	for (length = 0; length < LENGTHS; length++)
		for (i = 0; i < CALLEES; i++)
			one_call(&callees[i], length, true);
	shared->over = 1;
	while (!shared->stop)
		tri_poll();
	return NULL;
}

static int client(void)
{
	pthread_t thread;

	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	setenv("TRICOLOR_DEBUG", "clobberfree", 1);
	if (tri_init(NULL) || pthread_create(&thread, NULL, subject, NULL))
		return 9;
	while (!shared->stop) {
		if (shared->cycle_asked == shared->cycle_done) {
			sched_yield();
			continue;
		}
		if (tri_gc())
			return 9;
		shared->cycle_done = shared->cycle_asked;
	}
	pthread_join(thread, NULL);
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The tracer                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static pid_t pid, tid;				/* the client, the subject */
static uint64_t interrupted;			/* instructions */
static const struct callee *tracing;

static void fail(const char *what)
{
	fprintf(stderr, "# ptrace: %s: %s\n", what, strerror(errno));
	kill(pid, SIGKILL);
	exit(9);
}

static struct user_regs_struct registers(void)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
		fail("registers");
	return regs;
}

static void set_registers(struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_SETREGS, tid, NULL, regs))
		fail("registers");
}

/* Wait for a stop; the signal that it is for. */
static int wait_stop(void)
{
	int status;

	if (waitpid(tid, &status, __WALL) != tid)
		fail("wait");
	if (!WIFSTOPPED(status)) {
		fprintf(stderr, "# the client ended: %#x\n", status);
		kill(pid, SIGKILL);
		exit(9);
	}
	return WSTOPSIG(status);
}

/*
 * Run on to the next trap.  A handshake that comes on the way is taken by the handler, from which
 * the thread comes back with the trap flag as it was.
 */
static void run_to_trap(void)
{
	int sig = 0;

	do {
		if (ptrace(PTRACE_CONT, tid, NULL, (long)sig))
			fail("continue");
		sig = wait_stop();
		if (sig == SIGSEGV || sig == SIGBUS) {
			printf("# %s has lost its object, and ran on beyond the heap\n",
			       tracing->name);
			fflush(stdout);
			kill(pid, SIGKILL);
			exit(9);
		}
	} while (sig != SIGTRAP);
}

static bool signal_pending(void)
{
	char path[64], line[256];
	unsigned long long set = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %llx", &set) == 1)
			break;
	if (f)
		fclose(f);
	return set;
}

/* Execute one instruction; a handshake that is pending is taken before. */
static void one_instruction(void)
{
	struct user_regs_struct regs = registers();

	regs.eflags |= TRAP_FLAG;
	set_registers(&regs);
	run_to_trap();
}

/*
 * Execute an instruction after a handshake.  A signal that was pending may be one that a former
 * cycle has sent twice, and the cycle may want another: then more instructions are executed, each
 * after one.
 */
static uint64_t step(bool interrupt)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	struct user_regs_struct regs;

	if (interrupt) {
		shared->cycle_asked++;
		interrupted++;
		/* A cycle that needs no signal has scanned the thread all the same. */
		while (!signal_pending() && shared->cycle_done != shared->cycle_asked &&
		       now_ns() < end)
			sched_yield();
	}
	one_instruction();
	while (shared->cycle_done != shared->cycle_asked && now_ns() < end) {
		if (signal_pending())
			one_instruction();
		else
			sched_yield();
	}
	if (now_ns() >= end) {
		errno = ETIMEDOUT;
		fail("a cycle");
	}
	regs = registers();
	regs.eflags &= ~TRAP_FLAG;
	set_registers(&regs);
	return regs.rip;
}

/* Step through the call. */
static void trace_call(void)
{
	static uint64_t places[MAX_PLACES];
	static unsigned int times[MAX_PLACES];
	uint64_t pc = (uint64_t)(uintptr_t)call_hidden_call;
	unsigned int n = 0, i, steps = 0;

	/* It has returned, and may be an instruction or two further. */
	while (pc - (uint64_t)(uintptr_t)call_hidden_return > 16 &&
	       steps++ < MAX_STEPS) {
		for (i = 0; i < n && places[i] != pc; i++)
			;
		if (i == n && n < MAX_PLACES) {
			places[n] = pc;
			times[n++] = 0;
		}
		pc = step(i < MAX_PLACES && times[i]++ < TIMES);
	}
}

static void trace(void)
{
	uint64_t call = (uint64_t)(uintptr_t)call_hidden_call;
	struct user_regs_struct regs;
	size_t i;
	long word;

	while (!shared->subject)
		sched_yield();
	tid = shared->subject;
	if (ptrace(PTRACE_ATTACH, tid, NULL, NULL))
		fail("attach");
	while (wait_stop() != SIGSTOP)
		if (ptrace(PTRACE_CONT, tid, NULL, 0L))
			fail("continue");
	shared->traced = 1;
	for (i = 0; i < LENGTHS * CALLEES; i++) {
		tracing = &callees[i % CALLEES];
		/* A breakpoint where the subject only comes by. */
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, (void *)call, NULL);
		if (ptrace(PTRACE_POKEDATA, tid, (void *)call, (void *)((word & ~0xffl) | 0xcc)))
			fail("poke");
		run_to_trap();
		if (ptrace(PTRACE_POKEDATA, tid, (void *)call, (void *)word))
			fail("poke");
		regs = registers();
		if (regs.rip != call + 1)
			fail("where the subject is");
		regs.rip = call;
		regs.orig_rax = -1ull;
		set_registers(&regs);
		trace_call();
	}
	if (ptrace(PTRACE_DETACH, tid, NULL, 0L))
		fail("detach");
	while (!shared->over)
		sched_yield();
	shared->stop = 1;
}

/* One choice of functions, in a process that has started with it. */
static int traced_run(const char *name)
{
	int status;

	shared = shared_memory(sizeof(*shared));
	pid = fork();
	if (!pid)
		_exit(client());
	trace();
	waitpid(pid, &status, 0);
	printf("# %s: %u right, %u wrong, %llu instructions interrupted\n", name, shared->right,
	       shared->wrong, (unsigned long long)interrupted);
	if (shared->wrong)
		printf("# %s: lost in: %s\n", name, shared->names);
	fflush(stdout);
	return status || shared->wrong || shared->right != LENGTHS * CALLEES;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *tunables;
	} choices[] = {
		{ "as the processor has it", "" },
		{ "AVX2", "glibc.cpu.hwcaps=-AVX512VL,-AVX512BW,-AVX512F" },
		{ "SSE2",
		  "glibc.cpu.hwcaps=-AVX512VL,-AVX512BW,-AVX512F,-AVX2,-AVX,-SSSE3,-SSE4_1,-SSE4_2" },
	};
	size_t i;

	if (argc > 1)
		return traced_run(argv[1]);
	ksft_print_header();
	ksft_set_plan(sizeof(choices) / sizeof(choices[0]));
	for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		int status;
		pid_t child;

		setenv("GLIBC_TUNABLES", choices[i].tunables, 1);
		child = fork();
		if (!child) {
			execl("/proc/self/exe", argv[0], choices[i].name, NULL);
			_exit(9);
		}
		waitpid(child, &status, 0);
		ksft_test_result(!status, "string functions, %s: an argument keeps its object\n",
				 choices[i].name);
	}
	ksft_finished();
}
