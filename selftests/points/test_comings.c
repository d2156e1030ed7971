// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_comings.c - where a thread's pointers are looked for, and what it leaves behind
 *
 * The threads end, leave, come back, are joined, or fork.  Or they hold a pointer only in the red
 * zone of their stack, or in a register in a blocking region.
 */
#include <link.h>

#include "lib/stage.h"

FIXTURE(stage)
{
	struct actor subject, other;
};

FIXTURE_SETUP(stage)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
	ASSERT_TRUE(actor_start(&self->other));
	ASSERT_TRUE(actor_does(&self->other, stage_fill_box, NULL));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->other));
	EXPECT_TRUE(actor_end(&collector));
}

static uintptr_t made;

static void make(void *unused)
{
	(void)unused;
	made = hidden(tri_alloc(sizeof(struct box)));
}

static void store_over(void *unused)
{
	(void)unused;
	tri_store(&box->at[3], NULL);
}

/* What the thread has shaded is in its buffer only.  The next thread gets its slot. */
TEST_F(stage, a_thread_ends_before_its_buffer_is_read)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0);
	struct actor next;
	uintptr_t object;

	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(box->at[3]);
	ASSERT_TRUE(actor_does(&self->subject, store_over, NULL));
	ASSERT_TRUE(actor_end(&self->subject));
	ASSERT_TRUE(actor_start(&next));
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
	ASSERT_TRUE(actor_end(&next));
}

/* ------------------------------------------------------------------------------------------ */
/* Leaving, and coming back                                                                   */
/* ------------------------------------------------------------------------------------------ */

static _Atomic uint32_t step;		/* what the test lets the subject do next; futex */
static _Atomic uint32_t reached_step;

static void wait_for_step(uint32_t n)
{
	atomic_store(&reached_step, n);
	while (atomic_load(&step) < n)
		stage_futex(&step, FUTEX_WAIT, atomic_load(&step));
}

static void let(uint32_t n)
{
	atomic_store(&step, n);
	stage_futex(&step, FUTEX_WAKE, INT_MAX);
}

static void leave_and_come_back(void *unused)
{
	struct box *volatile held = shown(made);

	(void)unused;
	tri_thread_detach();
	wait_for_step(1);
	tri_thread_attach();
	wait_for_step(2);
	held = NULL;
	(void)held;
}

/*
 * The thread is not in the list while the threads of the list are scanned, and it is there when the
 * agent looks for threads that have not been scanned: it scans itself.
 */
TEST_F(stage, a_thread_that_attaches_late_is_scanned)
{
	struct tri_point *scan = point_hold("scan.begins", 0),
			 *known = point_hold("scan.known_done", 0);

	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(scan));
	actor_ask(&self->subject, leave_and_come_back, NULL);
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 1, 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(scan));
	ASSERT_TRUE(point_reached(known));
	let(1);
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 2, 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(known));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
	let(2);
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(actor_end(&self->subject));
}

static struct box **range;		/* of a mapping: a root where it is registered */

static void load_remove_and_hold(void *unused)
{
	struct box *volatile held = range[0];

	(void)unused;
	made = hidden(held);
	tri_root_remove(range, 4096);
	wait_for_step(1);
	held = NULL;
	(void)held;
}

static void fill_range(void *unused)
{
	(void)unused;
	tri_store(&range[0], tri_alloc(sizeof(struct box)));
}

/*
 * The thread attaches before the roots are scanned, and loads from a root that then goes.  It is
 * asked once more.
 */
TEST_F(stage, a_thread_that_attaches_early_is_scanned_after_the_roots)
{
	struct tri_point *scan = point_hold("scan.begins", 0);
	struct actor early;

	range = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)range);
	ASSERT_EQ(0, tri_root_add(range, 4096));
	ASSERT_TRUE(actor_does(&self->subject, fill_range, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(scan));
	ASSERT_TRUE(actor_start(&early));
	actor_ask(&early, load_remove_and_hold, NULL);
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 1, 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(scan));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
	let(1);
	ASSERT_TRUE(actor_finished(&early));
	ASSERT_TRUE(actor_end(&early));
	ASSERT_TRUE(actor_end(&self->subject));
}

/* ------------------------------------------------------------------------------------------ */
/* Threads for which no slot is left                                                          */
/* ------------------------------------------------------------------------------------------ */

static void *delete_later(void *unused)
{
	(void)unused;
	wait_for_step(1);
	tri_store(&box->at[3], NULL);
	wait_for_step(2);
	return NULL;
}

/* Stores of such a thread shade as those of all others. */
TEST_F(stage, a_thread_without_a_slot_shades)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0),
			 *none = point_fail("slot.take", 0);
	uintptr_t object;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, delete_later, NULL));
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 1, 20000, PATIENCE_NS));
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(box->at[3]);
	let(1);
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 2, 20000, PATIENCE_NS));
	ASSERT_EQ(NULL, box->at[3]);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
	let(2);
	point_off(none);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_TRUE(actor_end(&self->subject));
}

static void *hold_one(void *unused)
{
	struct box *volatile held = shown(made);

	(void)unused;
	wait_for_step(1);
	held = NULL;
	(void)held;
	return NULL;
}

/* What this thread alone holds is found, as for any thread that is not attached. */
TEST_F(stage, a_thread_without_a_slot_is_scanned)
{
	struct tri_point *none;
	pthread_t thread;

	ASSERT_TRUE(actor_does(&self->other, make, NULL));
	none = point_fail("slot.take", 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, hold_one, NULL));
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 1, 20000, PATIENCE_NS));
	EXPECT_TRUE(cycle_whole());
	EXPECT_TRUE(is_alive(made));
	let(1);
	point_off(none);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_TRUE(actor_end(&self->subject));
}

/* ------------------------------------------------------------------------------------------ */
/* Arguments and results                                                                      */
/* ------------------------------------------------------------------------------------------ */

static void *give_result(void *unused)
{
	struct box *b = tri_alloc(sizeof(*b));

	(void)unused;
	made = hidden(b);
	return b;
}

static uintptr_t joined;

static void join(void *arg)
{
	void *result = NULL;

	if (!pthread_join(*(pthread_t *)arg, &result))
		joined = hidden(result);
}

static uint64_t threads_now(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	return tri_read_stats(&s) ? 0 : s.threads;
}

/* The result was a root until now.  It is on the joiner's stack, which has been scanned already. */
TEST_F(stage, a_result_is_joined_when_threads_are_scanned)
{
	struct tri_point *threads = point_hold("scan.threads_done", 0);
	uint64_t before = threads_now();
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, give_result, NULL));
	ASSERT_TRUE(WAIT_FOR(made && threads_now() == before, 20000, PATIENCE_NS));
	cycle_begin();
	ASSERT_TRUE(point_reached(threads));
	ASSERT_TRUE(actor_does(&self->other, join, &thread));
	ASSERT_EQ(made, joined);
	ASSERT_TRUE(point_release(threads));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
	ASSERT_TRUE(actor_end(&self->subject));
}

static void *nothing_to_do(void *arg)
{
	return arg ? NULL : NULL;
}

static pthread_t created;

static void create(void *unused)
{
	(void)unused;
	pthread_create(&created, NULL, nothing_to_do, shown(made));
}

/*
 * The roots have been scanned.  The argument is in a new root, and its thread does not get to run.
 */
TEST_F(stage, an_argument_is_passed_when_roots_are_scanned)
{
	struct tri_point *roots = point_hold("scan.roots_done", 0), *runs;

	ASSERT_TRUE(actor_does(&self->other, make, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(roots));
	runs = point_hold("starting.runs", 0);
	ASSERT_TRUE(actor_does(&self->other, create, NULL));
	ASSERT_TRUE(point_reached(runs));
	ASSERT_TRUE(point_release(roots));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
	ASSERT_TRUE(point_release(runs));
	ASSERT_EQ(0, pthread_join(created, NULL));
	ASSERT_TRUE(actor_end(&self->subject));
}

static void *return_later(void *unused)
{
	(void)unused;
	wait_for_step(1);
	return shown(made);
}

/*
 * The roots have been scanned, and the thread ends before it is scanned.  Only its result is left
 * of it.
 */
TEST_F(stage, a_result_is_returned_when_roots_are_scanned)
{
	struct tri_point *roots = point_hold("scan.roots_done", 0);
	uint64_t before = threads_now();
	pthread_t thread;
	void *result;

	ASSERT_TRUE(actor_does(&self->other, make, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, return_later, NULL));
	ASSERT_TRUE(WAIT_FOR(atomic_load(&reached_step) == 1, 20000, PATIENCE_NS));
	cycle_begin();
	ASSERT_TRUE(point_reached(roots));
	let(1);
	ASSERT_TRUE(WAIT_FOR(threads_now() == before, 20000, PATIENCE_NS));
	ASSERT_TRUE(point_release(roots));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(made));
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(shown(made), result);
	ASSERT_TRUE(actor_end(&self->subject));
}

/*
 * Several cycles may find a new thread before it has executed our first line.  They must not take
 * it for a thread that others have made, or the descriptor of every thread would keep for good what
 * the thread has returned.
 */
TEST_F(stage, a_thread_that_begins_slowly_is_none_of_others)
{
	struct tri_point *begins = point_hold("starting.begins", 0);
	uint64_t before;
	pthread_t thread;
	int i;

	ASSERT_TRUE(actor_does(&self->other, create, NULL));
	ASSERT_TRUE(point_reached(begins));
	for (i = 0; i < 3; i++)
		ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(point_release(begins));
	ASSERT_EQ(0, pthread_join(created, NULL));
	before = threads_now();
	made = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, give_result, NULL));
	ASSERT_TRUE(WAIT_FOR(made && threads_now() == before, 20000, PATIENCE_NS));
	ASSERT_TRUE(cycle_whole());
	EXPECT_TRUE(is_alive(made));
	/* The descriptor's address stays on this stack. */
	ASSERT_TRUE(actor_does(&self->other, join, &thread));
	ASSERT_EQ(made, joined);
	ASSERT_TRUE(cycle_whole());
	EXPECT_FALSE(is_alive(made));
	ASSERT_TRUE(actor_end(&self->subject));
}

/* ------------------------------------------------------------------------------------------ */
/* Places                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/*
 * Until @go is set, the object that @number hides is only in the place that the function's name
 * says.
 */
struct place {
	_Atomic uint32_t go, there;
};

void only_in_red_zone(uintptr_t number, struct place *p);
void only_in_saved_register(uintptr_t number, struct place *p);

__asm__(".text\n"
	"only_in_red_zone:\n\t"
	"movabsq $0x5555000000000000, %rax\n\t"
	"xorq %rax, %rdi\n\t"
	"movq %rdi, -64(%rsp)\n\t"
	"xorl %edi, %edi\n\t"
	"movl $1, 4(%rsi)\n"
	"1:\tpause\n\t"
	"cmpl $0, (%rsi)\n\t"
	"je 1b\n\t"
	"movq $0, -64(%rsp)\n\t"
	"ret\n"
	"only_in_saved_register:\n\t"
	"pushq %rbx\n\t"
	"pushq %rbp\n\t"
	"subq $8, %rsp\n\t"
	"movabsq $0x5555000000000000, %rbx\n\t"
	"xorq %rdi, %rbx\n\t"
	"movq %rsi, %rbp\n\t"
	"xorl %edi, %edi\n\t"
	"call tri_blocking_enter@PLT\n\t"
	"movl $1, 4(%rbp)\n"
	"1:\tpause\n\t"
	"cmpl $0, (%rbp)\n\t"
	"je 1b\n\t"
	"xorl %ebx, %ebx\n\t"
	"call tri_blocking_exit@PLT\n\t"
	"addq $8, %rsp\n\t"
	"popq %rbp\n\t"
	"popq %rbx\n\t"
	"ret");

_Static_assert(KEY == 0x5555000000000000, "as in the text above");

static struct place place;

static void in_red_zone(void *unused)
{
	(void)unused;
	only_in_red_zone(made, &place);
}

static void in_saved_register(void *unused)
{
	(void)unused;
	only_in_saved_register(made, &place);
}

FIXTURE(place)
{
	struct actor subject;
};

FIXTURE_VARIANT(place)
{
	void (*only)(void *unused);
};

FIXTURE_VARIANT_ADD(place, red_zone) { .only = in_red_zone };
FIXTURE_VARIANT_ADD(place, saved_register) { .only = in_saved_register };

FIXTURE_SETUP(place)
{
	ASSERT_TRUE(stage_open());
	ASSERT_TRUE(actor_start(&self->subject));
}

FIXTURE_TEARDOWN(place)
{
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

TEST_F(place, is_scanned)
{
	ASSERT_TRUE(actor_does(&self->subject, make, NULL));
	actor_ask(&self->subject, variant->only, NULL);
	ASSERT_TRUE(WAIT_FOR(atomic_load(&place.there), 20000, PATIENCE_NS));
	EXPECT_TRUE(cycle_whole());
	EXPECT_TRUE(is_alive(made));
	atomic_store(&place.go, 1);
	ASSERT_TRUE(actor_finished(&self->subject));
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static _Atomic uint32_t *born;
static pid_t child;

static int nothing(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	(void)arg;
	return 0;
}

static void fork_child(void *unused)
{
	(void)unused;
	child = fork();
	if (child)
		return;
	atomic_store(born, 1);
	/* This hangs if a thread that the child does not have held the loader's lock. */
	alarm(10);
	dl_iterate_phdr(nothing, NULL);
	_exit(0);
}

/*
 * fork() while the agent looks for segments: the agent must have no lock that a child would inherit
 * for ever.  The fork() waits for the agent, and goes on when that takes too long.
 */
TEST_F(stage, a_fork_during_the_scan_of_segments)
{
	struct tri_point *segment = point_hold("roots.segments", 0), *prepares;

	born = shared_memory(sizeof(*born));
	cycle_begin();
	ASSERT_TRUE(point_reached(segment));
	prepares = point_watch("fork.prepares");
	actor_ask(&self->subject, fork_child, NULL);
	ASSERT_TRUE(point_passed_times(prepares, 1));
	ASSERT_TRUE(WAIT_FOR(atomic_load(born), 100000, PATIENCE_NS));
	ASSERT_TRUE(point_release(segment));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_EQ(0, wait_status(child));
	ASSERT_TRUE(actor_end(&self->subject));
}

/*
 * fork() while the agent is in a handshake: the forking thread lets the handshake end, and then
 * takes the locks.
 */
TEST_F(stage, a_fork_waits_for_a_handshake)
{
	struct tri_point *scan = point_hold("scan.begins", 0),
			 *waits = point_watch("handshake.waited_for");

	born = shared_memory(sizeof(*born));
	cycle_begin();
	ASSERT_TRUE(point_reached(scan));
	actor_ask(&self->subject, fork_child, NULL);
	EXPECT_TRUE(WAIT_FOR(point_passed(waits) || atomic_load(born), 20000, PATIENCE_NS));
	EXPECT_TRUE(point_passed(waits));
	ASSERT_TRUE(point_release(scan));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_EQ(0, wait_status(child));
	ASSERT_TRUE(actor_end(&self->subject));
}

TEST_HARNESS_MAIN
