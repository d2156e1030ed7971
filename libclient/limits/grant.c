// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * grant.c - what the heap may take before its control groups are at their limits
 *
 * Where a control group has a limit, the kernel kills whom it likes when the limit is reached.  The
 * collector keeps the heap below nine tenths of it.  But a collector gets only the CPU time that
 * the system gives it, and is not there yet when a program begins.  So the library keeps an account
 * of its own, which needs no collector:
 *
 *  1. The agent *measures* what each of the process's groups may still take: its headroom
 *     (headroom.c).  The group with the least counts.  From its headroom the agent subtracts what
 *     the heap has taken and not touched yet (untouched.c).  It measures when the heap starts, when
 *     it looks for a collector, and after that when a thread asks.
 *
 *  2. Each page that the heap takes and that has no memory yet is counted against the headroom,
 *     with its tables.  Pages that have memory cost nothing.
 *
 *  3. Other heaps may be in the group (heaps.c), and this one does not know what they have taken
 *     since its last measurement.  So a measurement *grants* only a part of the headroom: a
 *     GRANT_PARTS-th of the reserve (below), divided by the number of heaps.  The grant is valid
 *     for TRI_VALID_NS.  A thread asks for the next measurement when half of the grant or of the
 *     time is over.
 *
 *  4. The last tenth of the limit is the *reserve*, which the collector should have left alone.
 *     Memory of the reserve, and memory beyond the grant, is not taken without a wait (throttle.c).
 *
 * Why the heap leaves the margin of headroom.c alone:
 *
 *  - A measurement counts each page once or twice.  It reads `taken_bytes` first, then what is not
 *    touched, and then what the group uses.  A page that is taken after the first has been read is
 *    counted by `taken_bytes`.  One that was taken before has its bit in untouched.c by then.  If
 *    it is touched before that is read, its memory is in what the group uses, which is read later.
 *  - From one measurement to the next `taken_bytes` grows by all that the heap takes.  It is read
 *    and changed with the page heap's lock held, so that no two threads take the same bytes.
 *  - That several heaps do not take the same bytes is argued in Documentation/design/limits.md.
 *  - Only threads of throttle.c's points 3 and 4 go past the headroom, and threads that can't wait.
 */
#include "../../core/heap/layout.h"
#include "../../core/system/cgroup.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "../base/attributes.h"
#include "grant.h"
#include "headroom.h"
#include "../heap/pageheap.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "untouched.h"

#define GRANT_PARTS 4
#define GRANT_MIN_BYTES ((int64_t)TRI_TAKEN_BYTES)	/* where the reserve is next to nothing */
#define AGAIN_NS 1000000000ull		/* the groups are looked for no more often than this */
#define PAST_PARTS 32

struct tri_grant tri_grant;

/* The agent's own. */
static uint64_t found_ns;		/* when the groups were looked for; 0: they are to be */
static int64_t seen_limit;		/* the limit in the control page at the last cycle's end */
static int64_t room_bytes = INT64_MAX;	/* headroom for all, of which the margin is a part */

static tri_au32 asked;			/* a thread wants a measurement; any thread */

/* ------------------------------------------------------------------------------------------ */
/* Measuring: the agent                                                                       */
/* ------------------------------------------------------------------------------------------ */

/* What the heap may take until the agent measures again, by the headroom of one group. */
static int64_t grant_of(const struct tri_headroom *left)
{
	int64_t bytes = left->reserve / (int64_t)(GRANT_PARTS * left->heaps);

	return bytes > GRANT_MIN_BYTES ? bytes : GRANT_MIN_BYTES;
}

static void wake_throttled(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;

	/* Pairs with the count in wait_for() of throttle.c. */
	atomic_fetch_add(&ctl->throttle_seq, 1);
	if (atomic_load(&ctl->throttled_now) || atomic_load(&tri_grant.waiting))
		tri_futex_wake(&ctl->throttle_seq);
}

/** Measure what may still be taken, and grant a part of it.  Called by the agent. */
void tri_grant_measure(void)
{
	struct tri_headroom least = { .bytes = INT64_MAX }, left;
	int64_t room = INT64_MAX, most = INT64_MAX, promised = 0;
	uint64_t now = tri_now_ns(), taken;
	unsigned int sharers = 1;
	uint32_t measurement;
	size_t i;

	if (!found_ns || now - found_ns > AGAIN_NS) {
		tri_headroom_find_groups();
		found_ns = now;
	}
	/*
	 * A thread that asks from here on gets another measurement after this one, with a larger
	 * number.
	 */
	tri_write(&asked, 0);
	measurement = atomic_fetch_add(&tri_grant.begun, 1) + 1;
	/*
	 * The order is: what was taken, what of it is untouched, what the groups use.  So what is
	 * taken or touched meanwhile may be counted twice, and is not missed.
	 */
	taken = atomic_load(&tri_grant.taken_bytes);
	/* The device's arenas are charged otherwise. */
	if (tri_headroom_groups() && !tri_g.mapping.is_device)
		promised = (int64_t)tri_untouched_bytes();
	TRI_POINT("throttle.knows_promised");
	for (i = 0; i < tri_headroom_groups(); i++) {
		if (!tri_headroom_at(i, &left))
			continue;
		if (left.bytes + left.margin < room)
			room = left.bytes + left.margin;
		if (left.bytes - left.reserve < least.bytes - least.reserve)
			least = left;
		if (grant_of(&left) < most)
			most = grant_of(&left);
		if (left.heaps > sharers)
			sharers = left.heaps;
	}
	if (least.bytes != INT64_MAX) {
		room -= promised;
		least.bytes -= promised;
		tri_write(&tri_grant.end_bytes, (int64_t)taken + least.bytes);
		tri_write(&tri_grant.reserve_bytes, least.reserve);
		tri_write(&tri_grant.grant_bytes, most);
		tri_write(&tri_grant.granted_bytes, (int64_t)taken + most);
		tri_write(&tri_grant.past_bytes, (uint64_t)least.margin / PAST_PARTS / sharers);
		tri_write(&tri_grant.heaps, sharers);
	}
	room_bytes = room;
	tri_write(&tri_grant.measured_ns, now);
	tri_write_release(&tri_grant.ended, measurement);
	tri_write_release(&tri_grant.enforced, least.bytes != INT64_MAX);
	wake_throttled();
}

/**
 * What the processes of the group may take beside the heap, by the last measurement; INT64_MAX:
 * there is no limit.  Called by the agent.
 */
int64_t tri_grant_room(void)
{
	return room_bytes;
}

/** Measure if a thread has asked for that.  Called by the agent each time that it was woken. */
void tri_grant_measure_if_asked(void)
{
	if (unlikely(tri_read(&asked)))
		tri_grant_measure();
}

/**
 * A cycle is over for the client, and threads sweep for themselves.  Called by the agent.  Nobody
 * tells the process that it was moved to another group.  So the groups are looked for again when
 * the collector has given the heap another limit, and once a second.
 */
void tri_grant_cycle_over(void)
{
	int64_t limit = tri_read(&tri_g.view.ctl->limit_bytes);

	if (limit != seen_limit)
		found_ns = 0;
	seen_limit = limit;
	if (!found_ns || tri_now_ns() - tri_read(&tri_grant.measured_ns) > AGAIN_NS)
		tri_grant_measure();
	else
		wake_throttled();
}

/** In the child of a fork(), which has not got the agent's descriptors. */
void tri_grant_reset(void)
{
	tri_headroom_forget_groups();
	found_ns = 0;
	tri_write(&asked, 0);
	tri_write(&tri_grant.waiting, 0);
}

/* ------------------------------------------------------------------------------------------ */
/* Taking: any thread                                                                         */
/* ------------------------------------------------------------------------------------------ */

/** Ask the agent to measure. */
void tri_grant_ask(void)
{
	if (!tri_read(&asked) && !atomic_exchange(&asked, 1))
		tri_agent_wake(TRI_WAKE_MEASURE);
}

/**
 * Whether @pages that have no memory yet may be taken.  If not, the caller has to wait, or do
 * without.  Called with the page heap's lock held, until tri_grant_took().
 */
bool tri_grant_may_take(uint64_t pages)
{
	uint64_t bytes = pages * TRI_TAKEN_BYTES, age;
	struct tri_thread *t = tri__tls.thread;
	int64_t taken, left;

	if (likely(!tri_read_acquire(&tri_grant.enforced)) || !pages || unlikely(!t))
		return true;
	taken = (int64_t)atomic_load(&tri_grant.taken_bytes) + (int64_t)bytes;
	left = tri_read(&tri_grant.end_bytes) - taken;
	age = tri_now_ns() - tri_read(&tri_grant.measured_ns);
	if (taken > tri_read(&tri_grant.granted_bytes) - tri_read(&tri_grant.grant_bytes) / 2 ||
	    age > TRI_VALID_NS / 2)
		tri_grant_ask();
	if (left >= tri_read(&tri_grant.reserve_bytes) &&
	    taken <= tri_read(&tri_grant.granted_bytes) &&
	    age <= TRI_VALID_NS)
		return true;
	if (bytes <= t->pass_bytes && left >= t->least_headroom)
		return true;
	t->short_bytes = bytes;
	return false;
}

/**
 * @pages were taken, and their bits were set in untouched.c before.  Pairs with the first load in
 * tri_grant_measure().
 */
void tri_grant_took(uint64_t pages)
{
	struct tri_thread *t = tri__tls.thread;

	atomic_fetch_add(&tri_grant.taken_bytes, pages * TRI_TAKEN_BYTES);
	/* The thread has taken what it was allowed to take after its wait. */
	if (likely(t))
		t->pass_bytes = 0;
}
