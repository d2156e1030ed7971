// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_handshakes.c - what the agent waits for in each handshake, and what the collector reads
 * after it
 *
 * A thread is held inside the library, in the middle of an operation that it began under the old
 * rules.  The agent must then wait in quiesce(), and must not have gone on.  When all is over,
 * nothing may be lost.
 */
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/rseq.h>

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
	ASSERT_TRUE(actor_does(&self->subject, stage_fill_box, NULL));
}

FIXTURE_TEARDOWN(stage)
{
	EXPECT_TRUE(actor_end(&self->other));
	EXPECT_TRUE(actor_end(&self->subject));
	EXPECT_TRUE(actor_end(&collector));
}

/*
 * Wait until the agent has decided: true if it waits for a thread, false if it went past @through.
 */
static bool agent_waits(struct tri_point *waits, struct tri_point *through)
{
	WAIT_FOR(point_passed(waits) || point_passed(through), 20000, PATIENCE_NS);
	return point_passed(waits) && !point_passed(through);
}

static void move_over(void *unused)
{
	static struct box *nothing[8];

	(void)unused;
	tri_move(box->at, nothing, 8);
}

/* H1: a thread has read that no barrier is on, and is about to store. */
TEST_F(stage, barrier_on_waits_for_stores_of_before)
{
	struct tri_point *inside = point_hold("move.inside", self->subject.tid), *waits, *through;

	actor_ask(&self->subject, move_over, NULL);
	ASSERT_TRUE(point_reached(inside));
	waits = point_watch("quiesce.waits");
	through = point_watch("barrier_on.quiet");
	cycle_begin();
	EXPECT_TRUE(agent_waits(waits, through));
	ASSERT_TRUE(point_release(inside));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
}

static void store_over(void *unused)
{
	(void)unused;
	tri_store(&box->at[3], NULL);
}

/*
 * A thread that the agent waits for wakes it, which is not a scan.  What the thread was asked
 * before stays asked.
 */
TEST_F(stage, who_comes_out_wakes_the_agent)
{
	struct tri_point *inside = point_hold("move.inside", self->subject.tid), *sleeps, *wakes,
			 *scans;
	struct tri_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };

	actor_ask(&self->subject, move_over, NULL);
	ASSERT_TRUE(point_reached(inside));
	sleeps = point_watch("way_out.waits");
	wakes = point_watch("outside.wakes");
	scans = point_hold("scan.begins", 0);
	ASSERT_EQ(0, tri_read_stats(&before));
	cycle_begin();
	EXPECT_TRUE(WAIT_FOR(point_passed(sleeps), 20000, PATIENCE_NS));
	EXPECT_FALSE(point_passed(wakes));
	ASSERT_TRUE(point_release(inside));
	ASSERT_TRUE(actor_finished(&self->subject));
	EXPECT_TRUE(point_reached(scans));
	EXPECT_TRUE(point_passed(wakes));
	ASSERT_EQ(0, tri_read_stats(&after));
	EXPECT_EQ(before.interruptions, after.interruptions);
	ASSERT_TRUE(point_release(scans));
	ASSERT_TRUE(cycle_ended());
}

/* H3: a thread has deleted a pointer that another one has loaded, and is about to shade it. */
TEST_F(stage, collect_waits_for_what_is_being_shaded)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0), *collects, *stored, *waits,
			 *through;
	uintptr_t object;

	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(box->at[3]);
	stored = point_hold("store.stored", self->subject.tid);
	actor_ask(&self->subject, store_over, NULL);
	ASSERT_TRUE(point_reached(stored));
	collects = point_hold("cycle.collects", 0);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(point_reached(collects));
	waits = point_watch("quiesce.waits");
	through = point_watch("collect.quiet");
	ASSERT_TRUE(point_release(collects));
	EXPECT_TRUE(agent_waits(waits, through));
	ASSERT_TRUE(point_release(stored));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/* ------------------------------------------------------------------------------------------ */
/* H4: threads change over one by one                                                         */
/* ------------------------------------------------------------------------------------------ */

static bool in_old_page(const void *object)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (old_objects[i] && (uintptr_t)old_objects[i] / 8192 == (uintptr_t)object / 8192)
			return true;
	return false;
}

/*
 * A thread came into the library after the first wait and before its turn, and is still at a store.
 * The agent waits for it once more.  Until that thread is out, threads that have changed over take
 * fresh pages.
 */
TEST_F(stage, barrier_off_waits_once_more)
{
	struct tri_point *quiet, *stored, *waits, *through;

	ASSERT_TRUE(actor_does(&self->other, stage_make_old, NULL));
	ASSERT_TRUE(cycle_whole());
	ASSERT_TRUE(actor_does(&self->subject, stage_drop_half, NULL));
	quiet = point_hold("barrier_off.quiet", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(quiet));
	stored = point_hold("store.stored", self->subject.tid);
	actor_ask(&self->subject, store_over, NULL);
	ASSERT_TRUE(point_reached(stored));
	waits = point_watch("quiesce.waits");
	through = point_watch("barrier_off.done");
	ASSERT_TRUE(point_release(quiet));
	EXPECT_TRUE(agent_waits(waits, through));
	ASSERT_TRUE(actor_does(&self->other, stage_make_fresh, NULL));
	EXPECT_FALSE(in_old_page(fresh[0]));
	ASSERT_TRUE(point_release(stored));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
}

static void fill(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++)
		memset(fresh[i], 0x11, CLASS_BYTES);
}

static void *late[OBJECTS];

static void make_late(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++) {
		tri_store(&late[i], tri_alloc(CLASS_BYTES));
		memset(late[i], 0x22, CLASS_BYTES);
	}
}

/*
 * One thread has changed over and used up fresh spans.  Another one has not changed over, and
 * allocates by the old rules: it must not get those spans.
 */
TEST_F(stage, spans_of_the_next_cycle_are_not_claimed)
{
	struct tri_point *turn;
	int i, overlaid = 0;

	ASSERT_TRUE(actor_does(&self->subject, stage_make_old, NULL));
	ASSERT_TRUE(cycle_whole());
	/* The newest thread's turn comes first. */
	turn = point_hold("barrier_off.thread", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(turn));
	ASSERT_TRUE(actor_does(&self->other, stage_make_fresh, NULL));
	ASSERT_TRUE(actor_does(&self->other, fill, NULL));
	EXPECT_FALSE(in_old_page(fresh[0]));
	ASSERT_TRUE(actor_does(&self->subject, make_late, NULL));
	for (i = 0; i < OBJECTS; i++)
		overlaid += *(uint8_t *)fresh[i] != 0x11;
	EXPECT_EQ(0, overlaid);
	ASSERT_TRUE(point_release(turn));
	ASSERT_TRUE(cycle_ended());
	for (i = 0; i < OBJECTS; i++)
		EXPECT_TRUE(is_alive(hidden(fresh[i])) && is_alive(hidden(late[i])));
}

static void allocate(void *unused)
{
	void *volatile object = tri_alloc(CLASS_BYTES);

	(void)unused;
	(void)object;
}

/*
 * One thread has changed over and made an object.  The next one in turn does not release its cache,
 * and the agent, which is held up, releases the list.  A thread whose turn comes later asks what
 * the object is.
 */
TEST_F(stage, objects_of_the_next_cycle_are_found_by_all)
{
	struct tri_point *quiet, *locked, *turn;

	quiet = point_hold("barrier_off.quiet", 0);
	cycle_begin();
	ASSERT_TRUE(point_reached(quiet));
	locked = point_hold("alloc.locked", self->subject.tid);
	actor_ask(&self->subject, allocate, NULL);
	ASSERT_TRUE(point_reached(locked));
	turn = point_watch("barrier_off.thread");
	ASSERT_TRUE(point_release(quiet));
	/* The newest thread's turn comes first, this one's last. */
	ASSERT_TRUE(point_passed_times(turn, 1));
	ASSERT_TRUE(actor_does(&self->other, stage_make_fresh, NULL));
	EXPECT_EQ(CLASS_BYTES, tri_usable_size(fresh[0]));
	EXPECT_EQ(fresh[1], tri_base((char *)fresh[1] + 8));
	EXPECT_EQ(1, point_passed(turn));
	ASSERT_TRUE(point_release(locked));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_EQ(CLASS_BYTES, tri_usable_size(fresh[0]));
}

/* ------------------------------------------------------------------------------------------ */
/* Buffers                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/*
 * Shade one pointer more than fits into the rest of a buffer.  Each leads to an object that is not
 * marked.
 */
static void shade_many(void *arg)
{
	static struct box *slot;
	int i;

	for (i = 0; i < 600; i++)
		tri_store(&slot, shown(*(uintptr_t *)arg));
	tri_store(&slot, NULL);
}

/*
 * A buffer is handed over while the collector reads the buffers: it must see it in the old place or
 * in the new one.
 */
TEST_F(stage, a_buffer_is_handed_over_during_the_round)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0), *slots, *flushed, *drained;
	uintptr_t object, garbage;

	ASSERT_TRUE(actor_does(&self->other, stage_fill_box, NULL));
	garbage = hidden(box->at[0]);
	ASSERT_TRUE(actor_does(&self->other, stage_fill_box, NULL));
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(box->at[3]);
	/* Into the subject's buffer, which the collector reads in the round. */
	ASSERT_TRUE(actor_does(&self->subject, store_over, NULL));
	slots = point_hold("cycle.drained_slots", 0);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(point_reached(slots));
	flushed = point_hold("buffer.flushed", self->subject.tid);
	actor_ask(&self->subject, shade_many, &garbage);
	ASSERT_TRUE(point_reached(flushed));
	/*
	 * The thread has no buffer at this moment.  The round ends, clean or not, before the thread
	 * takes another buffer.
	 */
	drained = point_watch("cycle.drained");
	ASSERT_TRUE(point_release(slots));
	ASSERT_TRUE(point_passed_times(drained, 1));
	ASSERT_TRUE(point_release(flushed));
	ASSERT_TRUE(actor_finished(&self->subject));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
}

/*
 * There is no buffer for a shaded pointer.  The cycle then frees nothing, and another one takes its
 * place.
 */
TEST_F(stage, a_pointer_without_a_buffer_voids_the_cycle)
{
	struct tri_point *scanned = point_hold("cycle.scanned", 0), *none;
	struct tri_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	uintptr_t object;

	ASSERT_EQ(0, tri_read_stats(&before));
	cycle_begin();
	ASSERT_TRUE(point_reached(scanned));
	object = hidden(box->at[3]);
	none = point_fail("buffer.get", self->subject.tid);
	ASSERT_TRUE(actor_does(&self->subject, store_over, NULL));
	point_off(none);
	/*
	 * From now on a thread's own pointer keeps the object, for the cycle that takes this one's
	 * place.
	 */
	struct box *volatile held = shown(object);
	ASSERT_TRUE(point_release(scanned));
	ASSERT_TRUE(cycle_ended());
	EXPECT_TRUE(is_alive(object));
	EXPECT_NE(NULL, held);
	ASSERT_EQ(0, tri_read_stats(&after));
	EXPECT_EQ(before.reconnects + 1, after.reconnects);
}

/* ------------------------------------------------------------------------------------------ */
/* The fence                                                                                  */
/* ------------------------------------------------------------------------------------------ */

/* Counts the membarrier() calls of all threads of this process, by command. */
struct calls {
	_Atomic int listener;		/* 0: there is no filter yet */
	_Atomic uint32_t expedited, rseq, other, ready;
};

static void *listen_calls(void *arg)
{
	struct calls *c = arg;

	c->ready = 1;
	while (!c->listener)
		sched_yield();
	for (;;) {
		struct seccomp_notif notif;
		struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

		memset(&notif, 0, sizeof(notif));
		if (ioctl(c->listener, SECCOMP_IOCTL_NOTIF_RECV, &notif)) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			return NULL;
		}
		if (notif.data.args[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
			c->expedited++;
		else if (notif.data.args[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ)
			c->rseq++;
		else
			c->other++;
		answer.id = notif.id;
		ioctl(c->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static int filter_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	/* The filter holds for the agent too, whose thread has been started. */
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
			    SECCOMP_FILTER_FLAG_TSYNC_ESRCH, &program);
}

/*
 * No schedule shows that a fence is missing: a running thread is in a sequence, or has stores in
 * its CPU's buffer, for some nanoseconds only.  So this test counts the calls.  There is one for
 * each handshake that changes what threads read: for H1, for H3 (in each round), and two in H4.
 * Each restarts sequences, since otherwise a sequence could still commit what it read before.
 */
TEST(each_handshake_has_its_fences)
{
	static struct calls calls;
	struct tri_point *rounds, *off;
	pthread_t listener;
	uint32_t before;

	ASSERT_TRUE(stage_open());
	if (!__rseq_size || syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) <
				    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ)
		SKIP(return, "this system has no membarrier for rseq");
	/*
	 * The thread is attached first, as attaching may have to wait for an agent that waits for a
	 * fence.
	 */
	ASSERT_EQ(0, pthread_create(&listener, NULL, listen_calls, &calls));
	while (!calls.ready)
		sched_yield();
	calls.listener = filter_membarrier();
	if (calls.listener < 0)
		SKIP(return, "no seccomp notifications: %s", strerror(errno));
	rounds = point_watch("collect.quiet");
	off = point_watch("barrier_off.done");
	before = calls.rseq;
	ASSERT_TRUE(cycle_whole());
	EXPECT_EQ(1, point_passed(off));
	EXPECT_LE(1, point_passed(rounds));
	EXPECT_EQ(1 + point_passed(rounds) + 2, calls.rseq - before);
	EXPECT_EQ(0, calls.expedited);
}

static void unload(void *unused)
{
	(void)unused;
	tri__unload();
}

/*
 * Signals are the fence here.  A thread gets no signal, and so holds up the agent, which releases
 * the list.  Another thread, which unloads an object, begins a fence of its own meanwhile.  A
 * thread that answers the second signal has answered both.
 */
TEST(a_later_fence_answers_an_earlier_one)
{
	struct actor subject, other;
	struct tri_point *held, *waits;

	setenv("TRICOLOR_DEBUG", "nomembarrier", 1);
	ASSERT_TRUE(stage_open());
	if (!__rseq_size)
		SKIP(return, "without rseq nothing is unloaded with a fence");
	ASSERT_TRUE(actor_start(&subject));
	ASSERT_TRUE(actor_start(&other));
	ASSERT_TRUE(actor_does(&subject, stage_fill_box, NULL));
	held = point_hold_deaf("move.between", subject.tid);
	actor_ask(&subject, move_over, NULL);
	ASSERT_TRUE(point_reached(held));
	waits = point_hold("fence.waits", other.tid);
	cycle_begin();
	/* From here on the agent holds the list, until it is held up. */
	ASSERT_TRUE(WAIT_FOR(*(volatile uint32_t *)&tri__tls.barrier, 20000, PATIENCE_NS));
	actor_ask(&other, unload, NULL);
	ASSERT_TRUE(point_reached(waits));
	ASSERT_TRUE(point_release(held));
	ASSERT_TRUE(actor_finished(&subject));
	ASSERT_TRUE(point_release(waits));
	ASSERT_TRUE(actor_finished(&other));
	EXPECT_TRUE(cycle_ended());
	EXPECT_TRUE(actor_end(&other));
	EXPECT_TRUE(actor_end(&subject));
	EXPECT_TRUE(actor_end(&collector));
}

TEST_HARNESS_MAIN
