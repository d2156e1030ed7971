// SPDX-License-Identifier: GPL-2.0-only
/*
 * limit.c - one arena and its memory limit
 *
 *  1. Which limit.  It is the client's own one (TRICOLOR_MEMORY_LIMIT, tri_set_memory_limit(), an
 *     order), or else its share of the budget of all arenas in its cgroup, which the watcher orders
 *     (watch.c).  The pacer keeps the limit.
 *
 *  2. What it may cost.  While there is a limit the CPU time of collector and program is accounted
 *     for (limit_cpu.c).  The collector may have half.
 *
 *  3. Giving way.  If the bucket is full and the limit sets the goal, the limit gives way: cycles
 *     start by GOGC alone and nobody assists, until the program has had its half.  While the client
 *     allocates, the trigger makes us judge this again from time to time.  For a client that does
 *     not allocate nothing is to be done.
 *
 *     For an arena with a share there is a reserve of a tenth up to the limit that the kernel
 *     enforces.  Beyond a part of that reserve cycles run although the limit gives way, and further
 *     up threads wait for their end.  So the kernel does not kill a program because of a burst, or
 *     because others had the CPUs.  Such cycles may owe some seconds.  If more is owed, more lives
 *     than there is room for, and the collector has no more than half of the CPUs.
 *
 *  4. Reporting.  The client learns by a futex in its control page, and the log and the trace by a
 *     line, when the limit begins to give way and when it is kept again.  With the policy fail-fast
 *     the client is refused further pages as soon as a cycle has found that what lives does not
 *     fit, until a cycle finds that it does.  The kernel would kill a heap that grows before the
 *     limiter's bucket is full.
 *
 *  5. Waking.  Where the kernel does not tell the watcher that use of the group grows, the watcher
 *     must not sleep while the client is at work.  So the trigger is set to an allocation of some
 *     size.
 *
 *  6. Releasing.  Memory above the limit goes back at once, because others count on it.
 */
#include "limit.h"

#include "arena.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/system/saturate.h"
#include "daemon/process/log.h"
#include "limit_cpu.h"
#include "scavenge.h"
#include "trace.h"
#include "tricolor.h"

#define QUOTA_NS 1000000000ull		/* the client's CPU quota is read once in this time */
/*
 * A limit that gives way is judged again after allocation of 1/JUDGE_PARTS of the limit, within
 * these bounds.
 */
#define JUDGE_PARTS 64
#define JUDGE_MIN_BYTES (1ull << 20)
#define JUDGE_MAX_BYTES (64ull << 20)
/* An urgent cycle needs this much allocation, and this part of what lives. */
#define URGENT_MIN_BYTES (1ull << 20)
#define URGENT_PARTS 16
#define KEEP_PERCENT 95			/* memory is released to this part of the limit */
#define AT_ONCE_BYTES (16ull << 20)	/* most that is released while there is marking to do */
#define FRESH_PARTS 64			/* less than this part of the heap is no growth */
#define RESERVE_PARTS 9			/* the reserve is this part of a share */
/*
 * Eighths of the reserve from which a cycle runs in any case, and from which threads wait for it.
 */
#define RESERVE_CYCLE 3
#define RESERVE_WAIT 5
#define RESERVE_SECONDS 10		/* of all CPUs: as much as such cycles may owe */

static bool limited(const struct arena *a)
{
	return a->limit.in_force_bytes != PACER_NO_LIMIT;
}

/* ------------------------------------------------------------------------------------------ */
/* Reporting                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void trace_limit(struct arena *a, const char *what)
{
	const struct limit *l = &a->limit;

	if (!a->trace.limit)
		return;
	trace_line(a,
		   "tricolor %d limit @%.3fs: %s: %.1f MiB in force, %.1f live, %.1f resident, "
		   "cpu %.1f ms gc %.1f ms program %.1f ms owed",
		   a->client.shown_pid, (double)(clock_ns() - a->client.attached_ns) / 1e9, what,
		   limited(a) ? mib((uint64_t)l->in_force_bytes) : -1, mib(a->live.bytes),
		   mib(arena_resident_bytes(a)), (double)l->gc_ns / 1e6,
		   (double)l->program_ns / 1e6, (double)l->owed_cpu_ns / 1e6);
}

/*
 * Report that threads have waited because of the kernel's limit, if any have since the last report.
 */
static void trace_throttled(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t n = tri_read(&ctl->throttled);

	if (n == a->limit.reported_throttled || !a->trace.limit)
		return;
	a->limit.reported_throttled = n;
	trace_line(
		a,
		"tricolor %d limit @%.3fs: throttled: %llu allocations have waited for the "
		"kernel's limit, %.1f ms in all, the longest %.1f ms",
		a->client.pid, (double)(clock_ns() - a->client.attached_ns) / 1e9,
		(unsigned long long)n, (double)tri_read(&ctl->throttled_ns) / 1e6,
		(double)tri_read(&ctl->throttled_max_ns) / 1e6);
}

/* Whether what was reached, with what belongs to it, is more than the limit: no cycle can help. */
static bool overfull(const struct arena *a)
{
	return limited(a) && a->live.reached_bytes + pacer_overhead_bytes(&a->pacer) >
			     (uint64_t)a->limit.in_force_bytes;
}

/*
 * Report a limit that the program has chosen, once.  The watcher reports the limits of groups
 * (daemon/limits/pressure.c).
 */
static void warn_if_too_low(struct arena *a)
{
	int64_t own = tri_read(&a->view.ctl->memory_limit_bytes), limit = a->limit.in_force_bytes;

	if (own != limit || a->live.reached_bytes <= (uint64_t)limit ||
	    a->limit.reported_low_bytes == limit)
		return;
	a->limit.reported_low_bytes = limit;
	log_warning(
		"%s: %.1f MiB live, more than its own memory limit of %.1f MiB: it can't be kept; "
		"raise the limit, or have the program hold on to less",
		a->client.name, mib(a->live.reached_bytes), mib((uint64_t)limit));
}

static bool fails_fast(const struct arena *a)
{
	return tri_read(&a->view.ctl->limit_policy) == TRI_LIMIT_FAIL_FAST;
}

static void publish_pressure(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	uint32_t pressure = a->limit.over ? (uint32_t)TRI_PRESSURE_OVER : a->limit.group_pressure;

	tri_write(&ctl->refuse, a->limit.over && fails_fast(a) && overfull(a));
	if (tri_read(&ctl->pressure) == pressure)
		return;
	tri_write_release(&ctl->pressure, pressure);
	tri_futex_wake(&ctl->pressure);
}

static void set_over(struct arena *a, bool over)
{
	struct limit *l = &a->limit;

	if (over && !l->over) {
		atomic_fetch_add(&a->view.ctl->limit_events, 1);
		log_line(
			"%s: %.1f MiB live under a limit of %.1f MiB: keeping it would take over "
			"half of the CPU time, so it gives way; raise the limit, or let the "
			"program hold on to less",
			a->client.name, mib(a->live.bytes), mib((uint64_t)l->in_force_bytes));
	} else if (!over && l->over) {
		log_line("%s: %.1f MiB live: the limit is kept again", a->client.name,
			 mib(a->live.bytes));
	}
	if (over != l->over)
		trace_limit(a, over ? "gives way" : "kept again");
	l->over = over;
	publish_pressure(a);
}

/* ------------------------------------------------------------------------------------------ */
/* The limit                                                                                  */
/* ------------------------------------------------------------------------------------------ */

void limit_init(struct arena *a)
{
	struct limit *l = &a->limit;

	l->share_bytes = PACER_NO_LIMIT;
	l->in_force_bytes = PACER_NO_LIMIT;
	l->answered_assist_ns = tri_read(&a->view.ctl->assist_ns);
	l->client_seen = a->client.pid > 0 && !clock_getcpuclockid(a->client.pid, &l->client_clock);
}

/* A client that has chosen a limit, or to have none, has that in place of a share. */
static int64_t choose(const struct arena *a)
{
	int64_t own = tri_read(&a->view.ctl->memory_limit_bytes), share = a->limit.share_bytes;

	if (own == TRI_LIMIT_NONE)
		return PACER_NO_LIMIT;
	return own <= TRI_LIMIT_AUTO ? share : own;
}

int64_t limit_update(struct arena *a)
{
	struct limit *l = &a->limit;
	int64_t bytes = choose(a);

	if (bytes != l->in_force_bytes) {
		bool was_limited = limited(a);

		l->in_force_bytes = bytes;
		if (!was_limited)
			limit_cpu_start(a);
		/* The new limit may not be what sets the goal. */
		if (l->gives_way && !pacer_limited(&a->pacer, bytes))
			l->gives_way = false;
		if (bytes == PACER_NO_LIMIT) {
			l->gave_way_in_cycle = false;
			set_over(a, false);
		}
		trace_limit(a, "changed");
	}
	tri_write(&a->view.ctl->limit_bytes, bytes);
	publish_pressure(a);
	return l->gives_way ? PACER_NO_LIMIT : bytes;
}

/*
 * At the peak, when marking has ended, overhead is memory that is in use and holds no object:
 * metadata, and gaps in spans that the heap did not fill before it took fresh pages.  If it has
 * taken none since the last sweep, there are also gaps that it would have filled, had its goal been
 * higher.  If these counted, the goal would become lower, and so on, down to what lives.
 */
void limit_peak(struct arena *a, struct pacer_memory *memory)
{
	struct limit *l = &a->limit;
	uint64_t objects = memory->heap_free_bytes + memory->heap_alloc_bytes;
	uint64_t overhead = sub_sat(memory->mapped_bytes, objects);

	if (overhead > l->overhead_bytes && l->overhead_bytes &&
	    sub_sat(arena_used_bytes(a), l->swept_bytes) < l->swept_bytes / FRESH_PARTS)
		overhead = l->overhead_bytes;
	l->overhead_bytes = overhead;
	memory->mapped_bytes = objects + overhead;
}

/*
 * Tell the pacer about memory after a cycle.  Its overhead is that of the peak, when marking ended;
 * the gaps that there are in spans now will be filled.  But the excess over the limit is that of
 * now, when free pages have been released.  It counts twice, as in Go, so that a heap that has
 * overshot fills its gaps, and does not take more pages.
 */
static void settle_memory(struct arena *a)
{
	uint64_t have = arena_resident_bytes(a), overhead = pacer_overhead_bytes(&a->pacer);
	struct pacer_memory memory = { .mapped_bytes = have > overhead ? have : overhead };

	memory.heap_alloc_bytes = memory.mapped_bytes - overhead;
	a->limit.bound_bytes = sub_sat(have, scavenge_free_bytes(a));
	pacer_set_memory(&a->pacer, &memory);
}

/* Give memory back until the heap is a little below the limit. */
static void release(struct arena *a, uint64_t at_most)
{
	uint64_t keep, have;

	if (!limited(a))
		return;
	keep = (uint64_t)a->limit.in_force_bytes / 100 * KEEP_PERCENT;
	have = arena_resident_bytes(a);
	if (have > keep)
		scavenge(a, have - keep < at_most ? have - keep : at_most);
}

/* A heap without a limit gives back all free pages, as others need the memory more urgently. */
static void release_urgently(struct arena *a, uint64_t at_most)
{
	if (limited(a))
		release(a, at_most);
	else
		scavenge(a, at_most);
}

void limit_set_share(struct arena *a, int64_t bytes)
{
	a->limit.share_bytes = bytes;
}

void limit_release_excess(struct arena *a)
{
	if (!limited(a) || arena_resident_bytes(a) <= (uint64_t)a->limit.in_force_bytes)
		return;
	release(a, a->pacer.marking ? AT_ONCE_BYTES : UINT64_MAX);
}

void limit_set_pressure(struct arena *a, uint32_t pressure)
{
	a->limit.group_pressure = pressure;
	trace_limit(a, pressure ? "container is short of memory" : "container has room");
	publish_pressure(a);
}

void limit_set_urgent(struct arena *a)
{
	a->limit.urgent = true;
	trace_limit(a, "urgent");
	release_urgently(a, a->pacer.marking ? AT_ONCE_BYTES : UINT64_MAX);
}

void limit_set_wake_after(struct arena *a, int64_t bytes)
{
	a->limit.wake_after_bytes = bytes > 0 ? (uint64_t)bytes : 0;
}

/* ------------------------------------------------------------------------------------------ */
/* Giving way                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static void give_way(struct arena *a)
{
	a->limit.gives_way = true;
	a->limit.gave_way_in_cycle = true;
	set_over(a, true);
}

bool limit_progress(struct arena *a)
{
	struct limit *l = &a->limit;

	if (!limited(a) || !limiter_stale(&l->limiter, clock_ns()))
		return false;
	limit_cpu_account(a);
	if (l->gives_way || !limit_cpu_exceeded(l) || !pacer_limited(&a->pacer, l->in_force_bytes))
		return false;
	give_way(a);
	return true;
}

bool limit_wants_cycle(struct arena *a)
{
	uint64_t since = tri_read(&a->view.ctl->allocated_bytes) - a->live.at_bytes;

	/* The client is refused pages, and its request asks for the limit to be judged again. */
	if (a->requests.triggered && tri_read(&a->view.ctl->refuse))
		return true;
	if (!a->limit.urgent)
		return false;
	if ((int64_t)since >= (int64_t)URGENT_MIN_BYTES && since >= a->live.bytes / URGENT_PARTS)
		return true;
	a->limit.urgent = false;
	return false;
}

/*
 * Live bytes at which @eighths of the reserve are used; PACER_NEVER: there is no reserve, or it may
 * not be used.
 */
static uint64_t reserve_bytes(const struct arena *a, unsigned int eighths)
{
	const struct limit *l = &a->limit;
	uint64_t bytes = (uint64_t)l->in_force_bytes;

	if (!limited(a) || l->share_bytes != l->in_force_bytes ||
	    l->owed_cpu_ns > RESERVE_SECONDS * l->limiter.capacity_cpu_ns)
		return PACER_NEVER;
	return sub_sat(bytes + bytes / RESERVE_PARTS / 8 * eighths,
		       pacer_overhead_bytes(&a->pacer));
}

uint64_t limit_wait_bytes(const struct arena *a)
{
	return reserve_bytes(a, RESERVE_WAIT);
}

uint64_t limit_cycle_bytes(const struct arena *a)
{
	return reserve_bytes(a, RESERVE_CYCLE);
}

enum limit_verdict limit_judge(struct arena *a)
{
	struct limit *l = &a->limit;

	if (!limited(a))
		return LIMIT_KEPT;
	limit_cpu_account(a);
	if (!limit_cpu_exceeded(l)) {
		if (!l->gives_way)
			return LIMIT_KEPT;
		l->gives_way = false;
		return LIMIT_KEPT_AGAIN;
	}
	l->urgent = false;
	a->requests.triggered = false;
	if (!l->gives_way) {
		if (!pacer_limited(&a->pacer, l->in_force_bytes))
			return LIMIT_KEPT;
		give_way(a);
	}
	return LIMIT_GIVES_WAY;
}

uint64_t limit_trigger(const struct arena *a, uint64_t trigger_bytes)
{
	uint64_t judge = (uint64_t)a->limit.in_force_bytes / JUDGE_PARTS, at;

	if (a->limit.wake_after_bytes) {
		at = tri_read(&a->view.ctl->allocated_bytes) + a->limit.wake_after_bytes;
		trigger_bytes = at < trigger_bytes ? at : trigger_bytes;
	}
	if (!a->limit.gives_way)
		return trigger_bytes;
	if (judge < JUDGE_MIN_BYTES)
		judge = JUDGE_MIN_BYTES;
	if (judge > JUDGE_MAX_BYTES)
		judge = JUDGE_MAX_BYTES;
	at = tri_read(&a->view.ctl->allocated_bytes) + judge;
	return at < trigger_bytes ? at : trigger_bytes;
}

bool limit_cycle_end(struct arena *a)
{
	struct limit *l = &a->limit;
	uint64_t now = clock_ns();
	bool full;

	l->swept_bytes = arena_used_bytes(a);
	trace_throttled(a);
	if (!limited(a)) {
		if (l->urgent)
			release_urgently(a, UINT64_MAX);
		l->urgent = false;
		return false;
	}
	l->unreported_ns += a->marker.helper_cpu_ns;
	limit_cpu_account(a);
	if (now - l->quota_ns > QUOTA_NS) {
		limiter_set_cpus(&l->limiter, limit_cpu_milli(a), now);
		l->quota_ns = now;
	}
	if (l->urgent || arena_resident_bytes(a) > (uint64_t)l->in_force_bytes)
		release(a, UINT64_MAX);
	l->urgent = false;
	settle_memory(a);
	warn_if_too_low(a);
	full = overfull(a);
	if (full && fails_fast(a))
		set_over(a, true);
	else if (l->over && !l->gave_way_in_cycle && !full)
		set_over(a, false);
	else
		publish_pressure(a);
	l->gave_way_in_cycle = l->gives_way;
	return full && l->share_bytes == l->in_force_bytes;
}
