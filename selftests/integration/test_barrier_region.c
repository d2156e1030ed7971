// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_barrier_region.c - the inline barrier and the inline allocation, interrupted everywhere
 *
 * A tracer (this process) holds one thread of a forked client, the subject, at each instruction of
 * the two restartable sequences in turn, while other threads of the client run:
 *
 *  1. Breakpoints (int3) and not steps are what holds it: each stop in a sequence sends the thread
 *     back to the sequence's start, so that stepping never gets to its end.  That is tested first,
 *     and the addresses of the instructions are then found by stepping with the kernel's word for
 *     the sequence cleared.
 *  2. At a breakpoint a cycle is asked for.  Until the collector needs the subject (its signal is
 *     pending) the client marks without it.  In that moment a witness thread, which has been
 *     scanned already, loads the only pointer to an object from the slot that the subject is about
 *     to clear.  A store that still commits without the barrier loses this object.
 *     In every other round the subject then goes on from there, in the middle of the mark phase.
 *  3. In the others it goes on with the breakpoint in place, answers in its signal handler, and
 *     stops there again as soon as it comes by: it may stand there for the rest of the cycle.  An
 *     allocation that still commits then takes a slot of a span that its thread no longer owns.
 *  4. When the cycle is over all objects are checked, and allocated over if they are free.
 *
 * Then without a tracer: threads that store and allocate under a storm of timers and of signals
 * that the program sends itself, with every cycle checked (checkmark).
 *
 * All of it in three modes: as it is, without rseq, and without membarrier.
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "lib/arena_check.h"
#include "lib/forest.h"

#define ROUNDS 4		/* cycles at each instruction */
#define MAX_INSTRUCTIONS 24
#define BALLAST 60000		/* nodes that make marking last some milliseconds */
#define KEPT 4096
#define STORM_NS 1500000000ull

struct rseq_descriptor {
	uint32_t version, flags;
	uint64_t start, length, abort;
};

/* The linker knows where the sequences of this program are. */
extern const struct rseq_descriptor __start___rseq_cs[] __attribute__((visibility("hidden")));
extern const struct rseq_descriptor __stop___rseq_cs[] __attribute__((visibility("hidden")));

#define MAGIC 0x600d0b1ec7ull

struct object {
	struct object *next;
	uint64_t magic, serial;
};

/* What client and tracer share. */
struct shared {
	_Atomic pid_t subject, leader;
	_Atomic uint32_t phase;			/* of the client: ready, over */
	_Atomic uint32_t want_store;		/* the subject: store, else allocate */
	_Atomic uint32_t cycle_asked, cycle_done;
	_Atomic uint32_t witness_asked, witness_done;
	_Atomic uint32_t stop;
	_Atomic uint64_t lost, overlaid, made, stores, missed, checked, cycles;
	_Atomic uint64_t storm_signals, storm_errors, storm_steps;
};

static struct shared *shared;

/* ------------------------------------------------------------------------------------------ */
/* The client                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/* A slot in the heap, held by a global; what is in it is held by nothing else. */
static struct object **slot;
static struct object *ballast;
static struct object **kept;		/* KEPT objects of the subject, in the heap */

/* The two places.  Each has one sequence, and is found by its address. */
static __attribute__((noinline, noclone)) void store_once(struct object **at, struct object *value)
{
	tri_store(at, value);
}

static __attribute__((noinline, noclone)) struct object *alloc_once(void)
{
	return tri_alloc(sizeof(struct object));
}

static struct object *fill(struct object *o, uint64_t serial)
{
	if (!o)
		_exit(9);
	if (o->magic || o->next)
		shared->overlaid++;
	o->magic = MAGIC;
	o->serial = serial;
	return o;
}

/* For all but the subject: a breakpoint in the two places would be the end of another thread. */
static struct object *make(uint64_t serial)
{
	return fill(tri_alloc(sizeof(struct object)), serial);
}

/* What the subject does all the time; the tracer chooses which. */
static void *subject(void *unused)
{
	uint64_t serial = 0;

	(void)unused;
	tri_thread_attach();
	shared->subject = gettid();
	while (!shared->stop) {
		if (shared->want_store) {
			store_once(slot, NULL);
			shared->stores++;
			continue;
		}
		store_once(&kept[serial % KEPT], fill(alloc_once(), serial));
		serial++;
		shared->made++;
	}
	return NULL;
}

/* Each object of the subject is where it put it and no other has been laid over it. */
static void check_kept(void)
{
	int i;

	for (i = 0; i < KEPT; i++) {
		struct object *o = *(struct object *volatile *)&kept[i];

		if (o && (o->magic != MAGIC || o->serial % KEPT != (uint64_t)i))
			shared->overlaid++;
	}
}

/* Take slots that are free, whoever else thinks that they are his. */
static __attribute__((noinline)) void lay_over(void)
{
	int i;

	for (i = 0; i < 3000; i++) {
		uint64_t *o = tri_alloc(sizeof(struct object));

		if (!o)
			_exit(9);
		if (o[1])
			shared->overlaid++;
		o[1] = o[2] = 0xbad0bad0bad0;
	}
}

/*
 * Loads the pointer once it has itself been scanned for this cycle, holds it over the cycle, and
 * looks at the object when it is over.
 */
static void *witness(void *unused)
{
	uint32_t done = 0;

	(void)unused;
	tri_thread_attach();
	for (;;) {
		struct object *volatile held;
		uint64_t end;

		while (shared->witness_asked == done && !shared->stop)
			tri_poll();
		if (shared->stop)
			return NULL;
		/* `attention` is set from the request for the scan to the answer. */
		end = now_ns() + 1000000;
		while (*(volatile uint32_t *)&tri__tls.attention && now_ns() < end)
			tri_poll();
		held = *(struct object *volatile *)slot;
		shared->witness_done = done + 1;
		while (shared->cycle_done != shared->cycle_asked && !shared->stop)
			tri_poll();
		lay_over();
		if (held && held->magic != MAGIC)
			shared->lost++;
		/* For the next round: an object that only the slot holds. */
		held = make(0);
		tri_store(slot, held);
		held = NULL;
		done++;
		shared->witness_asked = done;
		shared->phase = done;
	}
}

static void *collect(void *unused)
{
	(void)unused;
	while (!shared->stop) {
		if (shared->cycle_asked == shared->cycle_done) {
			pause_ns(50000);
			continue;
		}
		if (tri_gc())
			_exit(9);
		check_kept();
		shared->cycle_done = shared->cycle_asked;
	}
	return NULL;
}

static void make_ballast(void)
{
	int i;

	for (i = 0; i < BALLAST; i++) {
		struct object *o = make((uint64_t)i);

		tri_store(&o->next, ballast);
		tri_store(&ballast, o);
	}
	tri_store(&slot, tri_alloc(sizeof(*slot)));
	tri_store(&kept, tri_alloc(KEPT * sizeof(*kept)));
	tri_store(slot, make(0));
}

static void count_checks(void)
{
	struct tri_stats s = { .size = sizeof(s) };
	struct tri_view v;

	tri_read_stats(&s);
	shared->cycles = s.cycles;
	if (arena_find(&v)) {
		shared->missed = tri_read(&v.ctl->checkmark_missed);
		shared->checked = tri_read(&v.ctl->checkmark_cycles);
	}
}

static int traced_client(void)
{
	pthread_t t[3];
	int i;

	/* All cycles are asked for. */
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	shared->leader = getpid();
	make_ballast();
	if (pthread_create(&t[0], NULL, collect, NULL) ||
	    pthread_create(&t[1], NULL, witness, NULL) ||
	    pthread_create(&t[2], NULL, subject, NULL))
		return 9;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	count_checks();
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The storm                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static struct object *scratch;

/* Stores and loads of the handler's own interrupt the thread's. */
static void on_signal(int sig)
{
	(void)sig;
	shared->storm_signals++;
}

static void *storm_worker(void *arg)
{
	static __thread struct forest f;
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	struct itimerspec every = { { 0, 61000 }, { 0, 61000 } };
	timer_t timer;
	int i;

	if (!forest_init(&f, 200, (uintptr_t)arg))
		_exit(9);
	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		_exit(9);
	while (!shared->stop) {
		struct object *chain = NULL;

		if (!forest_step(&f))
			_exit(9);
		for (i = 0; i < 50; i++) {
			struct object *o = fill(alloc_once(), (uint64_t)i);

			store_once(&o->next, chain);
			chain = o;
		}
		store_once(&scratch, chain);
		for (; i-- && chain; chain = chain->next)
			if (chain->magic != MAGIC || chain->serial != (uint64_t)i)
				shared->storm_errors++;
		shared->storm_steps++;
	}
	timer_delete(timer);
	forest_check_all(&f);
	shared->storm_errors += f.errors;
	return NULL;
}

static int storm_client(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	pthread_t t[2];
	uint64_t end;
	uintptr_t i;

	setenv("TRICOLOR_GC_PERCENT", "20", 1);
	/* The signal of the handshakes is the program's too. */
	tri_init(NULL);
	sigaction(SIGRTMIN, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGRTMIN + 2, &act, NULL);
	make_ballast();
	for (i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, storm_worker, (void *)(i * 2 + 77)))
			return 9;
	for (end = now_ns() + STORM_NS; now_ns() < end;) {
		pthread_kill(t[0], SIGUSR1);
		pthread_kill(t[1], SIGRTMIN + 2);
		pause_ns(20000);
	}
	shared->stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	count_checks();
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The tracer                                                                                 */
/* ------------------------------------------------------------------------------------------ */

struct region {
	const char *name;
	const struct rseq_descriptor *d;
	uint64_t at[MAX_INSTRUCTIONS];		/* instructions, two before the sequence's start */
	unsigned int n;
	uint64_t visits[MAX_INSTRUCTIONS], held[MAX_INSTRUCTIONS];
};

static pid_t tid;				/* the subject */

static const struct rseq_descriptor *find_region(const void *function)
{
	const struct rseq_descriptor *d;

	for (d = __start___rseq_cs; d < __stop___rseq_cs; d++)
		if (d->start - (uint64_t)(uintptr_t)function < 96)
			return d;
	return NULL;
}

static void fail(const char *what)
{
	ksft_exit_fail_msg("ptrace: %s: %s\n", what, strerror(errno));
}

static struct user_regs_struct registers(void)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
		fail("registers");
	return regs;
}

static void set_pc(uint64_t pc)
{
	struct user_regs_struct regs = registers();

	regs.rip = pc;
	/* It is in no system call that could be restarted. */
	regs.orig_rax = -1ull;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &regs))
		fail("registers");
}

static long peek(uint64_t at)
{
	errno = 0;
	return ptrace(PTRACE_PEEKDATA, tid, (void *)at, NULL);
}

static void poke(uint64_t at, long word)
{
	if (ptrace(PTRACE_POKEDATA, tid, (void *)at, (void *)word))
		fail("poke");
}

static long set_breakpoint(uint64_t at)
{
	long word = peek(at);

	poke(at, (word & ~0xffl) | 0xcc);
	return word;
}

/* The signal that the stopped subject goes on with: its own ones are delivered, traps are ours. */
static int pending_signal;
static bool running = true;

/* Wait for a stop, or only look.  True if it is a trap. */
static bool stopped(bool wait, bool *any)
{
	int status;
	pid_t pid = waitpid(tid, &status, __WALL | (wait ? 0 : WNOHANG));

	*any = pid == tid;
	if (!*any)
		return false;
	if (!WIFSTOPPED(status))
		ksft_exit_fail_msg("the client ended: %#x\n", status);
	running = false;
	pending_signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	return !pending_signal;
}

static void go_on(void)
{
	if (ptrace(PTRACE_CONT, tid, NULL, (long)pending_signal))
		fail("continue");
	running = true;
}

/* Run to the next trap, delivering signals. */
static void run_to_trap(void)
{
	bool any;

	do
		go_on();
	while (!stopped(true, &any));
}

static void interrupt(void)
{
	bool any;

	if (!running)
		return;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		fail("interrupt");
	while (!stopped(true, &any))
		go_on();
}

static uint64_t step(void)
{
	bool any;

	if (ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL))
		fail("step");
	/* Signals wait while it is held at a step. */
	while (!stopped(true, &any))
		if (ptrace(PTRACE_SINGLESTEP, tid, NULL, (long)pending_signal))
			fail("step");
	return registers().rip;
}

/* Stop at the first instruction of the region's preamble, where nothing is armed yet. */
static void stop_before(uint64_t preamble)
{
	long word;

	interrupt();
	word = set_breakpoint(preamble);
	run_to_trap();
	poke(preamble, word);
	set_pc(preamble);
}

/* Where the abort handler jumps to: its instruction is a jmp with an 8 or 32 bit distance. */
static uint64_t abort_target(const struct rseq_descriptor *d)
{
	const unsigned char *p = (const unsigned char *)(uintptr_t)d->abort;
	int32_t distance;

	if (p[0] == 0xeb)
		return d->abort + 2 + (uint64_t)(int64_t)(signed char)p[1];
	memcpy(&distance, p + 1, sizeof(distance));
	return d->abort + 5 + (uint64_t)(int64_t)distance;
}

/* Single steps: none gets beyond the first instruction of a sequence, each restarts it. */
static bool steps_restart(struct region *r, unsigned int *restarts)
{
	uint64_t preamble = abort_target(r->d), pc;
	int i;

	*restarts = 0;
	stop_before(preamble);
	for (i = 0; i < 30; i++) {
		pc = step();
		if (pc == preamble)
			++*restarts;
		if (pc > r->d->start && pc < r->d->start + r->d->length)
			return false;
	}
	return *restarts >= 5;
}

/* The instructions, found by stepping with the sequence disarmed.  Signals must not come. */
static void find_instructions(struct region *r)
{
	uint64_t preamble = abort_target(r->d), pc = preamble, end = r->d->start + r->d->length;
	uint64_t word = registers().fs_base + (uint64_t)__rseq_offset + 8;

	stop_before(preamble);
	r->n = 0;
	while (pc >= preamble && pc < end && r->n < MAX_INSTRUCTIONS) {
		r->at[r->n++] = pc;
		pc = step();
		if (pc == r->d->start)
			poke(word, 0);
	}
	/* And the one after, where the effect is out. */
	if (pc == end && r->n < MAX_INSTRUCTIONS)
		r->at[r->n++] = pc;
}

static bool signal_pending(void)
{
	char path[64], line[256];
	unsigned long long set = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", shared->leader, tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %llx", &set) == 1)
			break;
	if (f)
		fclose(f);
	return set >> (SIGRTMIN + 2 - 1) & 1;
}

/*
 * One round at instruction @i: stop there, have a cycle run with the subject held there whenever it
 * need not answer.  False if the subject never comes by.
 */
static bool round_at(struct region *r, unsigned int i, bool let_go)
{
	uint64_t at = r->at[i], end = now_ns() + PATIENCE_NS, give_up = now_ns() + 300000000;
	uint32_t witnessed = shared->witness_asked;
	bool trap = false, any, came = false, held = false;
	long word;

	if (!WAIT_FOR(shared->phase == witnessed, 20000, PATIENCE_NS))
		ksft_exit_fail_msg("the witness does not come back\n");
	interrupt();
	word = set_breakpoint(at);
	go_on();
	while (!came && now_ns() < give_up) {
		trap = stopped(false, &any);
		came = trap && registers().rip == at + 1;
		if (any && !came)
			go_on();
		else if (!any)
			pause_ns(20000);
	}
	if (!came) {
		interrupt();
		poke(at, word);
		go_on();
		return false;
	}
	r->visits[i]++;
	set_pc(at);
	shared->cycle_asked++;
	/* The client marks as far as it gets without the subject. */
	if (!WAIT_FOR(signal_pending() || shared->cycle_done == shared->cycle_asked, 20000,
		      PATIENCE_NS))
		ksft_exit_fail_msg("the collector asks the subject for nothing\n");
	shared->witness_asked = witnessed + 1;
	WAIT_FOR(shared->witness_done == witnessed + 1, 20000, PATIENCE_NS);
	if (let_go)
		poke(at, word);
	for (trap = true; shared->cycle_done != shared->cycle_asked && now_ns() < end;) {
		if (trap && !signal_pending() && !let_go) {
			held = true;
			pause_ns(20000);
			continue;
		}
		if (trap) {
			pending_signal = 0;
			go_on();
		}
		trap = stopped(false, &any);
		if (any && !trap) {
			go_on();
		} else if (trap && registers().rip == at + 1) {
			r->visits[i]++;
			set_pc(at);
		} else if (!any) {
			pause_ns(20000);
		}
	}
	if (shared->cycle_done != shared->cycle_asked)
		ksft_exit_fail_msg("%s, instruction %u: the cycle does not end\n", r->name, i);
	r->held[i] += held;
	if (!trap)
		interrupt();
	if (registers().rip == at + 1)
		set_pc(at);
	poke(at, word);
	pending_signal = 0;
	go_on();
	return true;
}

static unsigned int visit_all(struct region *r, bool store)
{
	unsigned int i, round, reached = 0;
	char counts[256];
	int len = 0;

	shared->want_store = store;
	for (i = 0; i < r->n; i++) {
		for (round = 0; round < ROUNDS; round++)
			if (!round_at(r, i, round & 1))
				break;
		reached += r->visits[i] != 0;
		len += snprintf(counts + len, sizeof(counts) - (size_t)len, " %llu/%llu",
				(unsigned long long)r->visits[i], (unsigned long long)r->held[i]);
	}
	ksft_print_msg("%s: stops at each instruction / rounds held there in a cycle:%s\n", r->name,
		       counts);
	return reached;
}

struct mode {
	const char *name, *debug;
	bool inline_paths;		/* the commits of the sequences are reached */
};

static pid_t start(const struct mode *m, int (*fn)(void))
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setenv("TRICOLOR_SOCKET", "off", 1);
		setenv("TRICOLOR_DEBUG", m->debug, 1);
		_exit(fn());
	}
	return pid;
}

/* The regions were found in the mode that reaches all of them; code is the same in every child. */
static struct region store_region = { .name = "store" }, alloc_region = { .name = "allocation" };

static void test_traced(const struct mode *m)
{
	pid_t pid = start(m, traced_client);
	unsigned int restarts[2], stores, allocs, want_stores, want_allocs;
	bool restart;
	int status;

	if (!WAIT_FOR(shared->subject != 0, 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("the client does not start\n");
	tid = shared->subject;
	running = true;
	if (ptrace(PTRACE_SEIZE, tid, NULL, (long)PTRACE_O_EXITKILL))
		fail("seize");
	if (m->inline_paths && !store_region.n) {
		shared->want_store = 1;
		restart = steps_restart(&store_region, &restarts[0]);
		find_instructions(&store_region);
		go_on();
		shared->want_store = 0;
		restart &= steps_restart(&alloc_region, &restarts[1]);
		find_instructions(&alloc_region);
		go_on();
		ksft_test_result(restart, "a step in a sequence restarts it (%u and %u times)\n",
				 restarts[0], restarts[1]);
		ksft_test_result(store_region.n >= 5 && alloc_region.n >= 12,
				 "%u instructions of the store, %u of the allocation\n",
				 store_region.n, alloc_region.n);
	}
	memset(store_region.visits, 0, sizeof(store_region.visits));
	memset(store_region.held, 0, sizeof(store_region.held));
	memset(alloc_region.visits, 0, sizeof(alloc_region.visits));
	memset(alloc_region.held, 0, sizeof(alloc_region.held));
	stores = visit_all(&store_region, true);
	allocs = visit_all(&alloc_region, false);
	shared->stop = 1;
	interrupt();
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	waitpid(tid, &status, __WALL | WNOHANG);
	status = wait_status(pid);
	/* Without rseq both leave the sequence at its test: flag set, cache empty. */
	want_stores = m->inline_paths ? store_region.n : store_region.n - 2;
	want_allocs = m->inline_paths ? alloc_region.n : 7;
	ksft_print_msg("%s: %llu cycles, %llu checked, %llu stores, %llu objects\n", m->name,
		       (unsigned long long)shared->cycles, (unsigned long long)shared->checked,
		       (unsigned long long)shared->stores, (unsigned long long)shared->made);
	ksft_test_result(stores == want_stores && allocs == want_allocs,
			 "%s: held at %u and %u instructions, of %u and %u that are reached\n",
			 m->name, stores, allocs, want_stores, want_allocs);
	ksft_test_result(!status && !shared->lost && !shared->overlaid,
			 "%s: nothing was lost (%llu) or given out twice (%llu)\n", m->name,
			 (unsigned long long)shared->lost, (unsigned long long)shared->overlaid);
	ksft_test_result(!status && shared->checked >= stores + allocs && !shared->missed,
			 "%s: no cycle missed a pointer\n", m->name);
}

static void test_storm(const struct mode *m)
{
	int status = wait_status(start(m, storm_client));

	ksft_print_msg("%s: storm: %llu signals, %llu cycles, %llu steps\n", m->name,
		       (unsigned long long)shared->storm_signals,
		       (unsigned long long)shared->cycles, (unsigned long long)shared->storm_steps);
	ksft_test_result(
		!status && shared->storm_signals > 100 && shared->checked > 3 && !shared->missed &&
			!shared->storm_errors && !shared->overlaid,
		"%s: a storm of signals loses nothing (status %d, %llu missed, %llu wrong)\n",
		m->name, status, (unsigned long long)shared->missed,
		(unsigned long long)(shared->storm_errors + shared->overlaid));
}

int main(void)
{
	static const struct mode modes[] = {
		{ "as it is", "checkmark,clobberfree", true },
		{ "norseq", "checkmark,clobberfree,norseq", false },
		{ "nomembarrier", "checkmark,clobberfree,nomembarrier", true },
	};
	size_t i;

	ksft_print_header();
	if (!__rseq_size)
		ksft_exit_skip("this system has no rseq\n");
	store_region.d = find_region((const void *)store_once);
	alloc_region.d = find_region((const void *)alloc_once);
	if (!store_region.d || !alloc_region.d)
		ksft_exit_fail_msg("the sequences are not where they should be\n");
	ksft_set_plan(2 + 4 * sizeof(modes) / sizeof(modes[0]));
	shared = shared_memory(sizeof(*shared));
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		test_traced(&modes[i]);
		test_storm(&modes[i]);
	}
	ksft_finished();
}
