// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * gc.c - requests for cycles, settings and statistics
 *
 * A request is a number.  Before each cycle the collector reads the newest number, and when the
 * cycle has ended it publishes that number as done.  If the collector dies, the next one is told
 * the numbers, so no request is lost.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../agent/agent.h"
#include "../start/attach.h"
#include "../base/attributes.h"
#include "../limits/uncollected.h"
#include "../checker/checker.h"
#include "../base/error.h"
#include "gc.h"
#include "../start/init.h"
#include "../base/lock.h"
#include "../threads/region.h"
#include "../roots/scan.h"
#include "../base/settings.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../agent/steps.h"
#include "../threads/thread.h"
#include "tricolor.h"

#define LOOK_NS 100000000ull		/* how often a wait looks whether the collector works */

/*
 * tri_progress() plus 1, when a collector was given up that had done nothing for TRI_WITHOUT_NS; 0:
 * none was.  While progress stays the same, later waits give up at once.
 */
static tri_au64 given_up;

static int no_collector(void)
{
	const char *why = tri_complaint(TRI_COMPLAINT_STUCK);

	if (!*why)
		why = tri_complaint(TRI_COMPLAINT_ROOTS);
	if (!*why)
		why = tri_complaint(TRI_COMPLAINT_NO_COLLECTOR);
	if (*why)
		return tri_fail(ETIMEDOUT, "tricolor: no cycle within 10 seconds: %s", why);
	return tri_fail(ETIMEDOUT,
			"tricolor: no collector for 10 seconds; is tricolord installed, and "
			"TRICOLOR_SOCKET or TRICOLOR_DAEMON right?");
}

/* How a wait knows whether it still makes sense. */
struct patience {
	uint64_t progress;
	uint32_t unanswered;
	uint64_t vain_ns;		/* waited since progress was made.  Time in which the
					 * whole program was stopped does not count. */
};

/* Returns 0, or an error if there is no point in waiting any longer. */
static int lose_patience(struct patience *p, uint64_t waited_ns)
{
	uint64_t without = tri_read(&tri_g.without_collector_ns), progress = tri_progress();
	char state[128];

	if (without)
		return tri_now_ns() - without > TRI_WITHOUT_NS ? no_collector() : 0;
	if (tri_read(&tri_g.unanswered) != p->unanswered)
		return tri_fail(ETIMEDOUT, "tricolor: %s", tri_complaint(TRI_COMPLAINT_THREADS));
	if (progress != p->progress) {
		p->progress = progress;
		p->vain_ns = 0;
		return 0;
	}
	p->vain_ns += waited_ns < 2 * LOOK_NS ? waited_ns : 2 * LOOK_NS;
	if (p->vain_ns <= TRI_WITHOUT_NS && tri_read(&given_up) != progress + 1)
		return 0;
	tri_write(&given_up, progress + 1);
	tri_collector_state(state, sizeof(state));
	return tri_fail(ETIMEDOUT, "tricolor: nothing was collected for 10 seconds: %s", state);
}

/**
 * Wake the agent for @wake, and wait until it, or the collector, has brought @done to @mine.
 * Returns as tri_gc().
 */
__attribute__((noinline))
int tri_gc_wait_until(tri_au32 *done, uint32_t mine, uint32_t wake)
{
	struct tri_thread *t = tri__tls.thread;
	uint32_t seen;
	struct patience patience = {
		.progress = tri_progress(),
		.unanswered = tri_read(&tri_g.unanswered),
	};
	uint64_t began = tri_now_ns();
	int err = tri_agent_ensure();

	if (err)
		return err;
	/* What the caller has dropped should not be found in registers that it no longer uses. */
	tri_forget_registers();
	/*
	 * The wait is no blocking region, as a handler of the program that interrupts it may do
	 * anything, and need not return.  In place of that t->waits asks the agent to send its
	 * signal at once.
	 */
	if (tri_in_region() && !t->depth)
		tri_region_end(t);
	tri_write(&t->waits, 1);
	tri_agent_wake(wake);
	while ((int32_t)((seen = tri_read_acquire(done)) - mine) < 0) {
		err = lose_patience(&patience, tri_now_ns() - began);
		if (err)
			break;
		began = tri_now_ns();
		if (tri_read(&t->pending) && !t->depth)
			tri_signal_self(t);
		tri_futex_wait(done, seen, LOOK_NS);
	}
	tri_write(&t->waits, 0);
	tri_say_unsaid();
	return err;
}

/**
 * For TRICOLOR_DEBUG=gc=N.  @t has made an allocation or a store, and is outside.  If a step is due
 * it waits for that.
 */
__attribute__((noinline))
void tri_step(struct tri_thread *t)
{
	uint32_t step;

	if (tri_step_is_due(t, &step))
		tri_gc_wait_until(&tri_g.steps, step, TRI_WAKE_GC);
}

/** Make a request with the next number of @wanted, and wait for it.  Returns as tri_gc(). */
int tri_gc_wait(tri_au32 *wanted, tri_au32 *done, uint32_t wake)
{
	uint32_t mine = atomic_fetch_add(wanted, 1) + 1;
	int err;

	tri_step_whole(true);
	err = tri_gc_wait_until(done, mine, wake);
	tri_step_whole(false);
	return err;
}

TRI_EXPORT int tri_gc(void)
{
	int err = tri_thread_attach();

	return err ? err : tri_gc_wait(&tri_g.gc_wanted, &tri_g.view.ctl->gc_done, TRI_WAKE_GC);
}

TRI_EXPORT int tri_free_os_memory(void)
{
	int err = tri_thread_attach();

	return err ? err :
		     tri_gc_wait(&tri_g.free_wanted, &tri_g.view.ctl->free_done, TRI_WAKE_FREE);
}

TRI_EXPORT int tri_set_gc_percent(int percent)
{
	int old;

	if (tri_start_attached(NULL))
		return tri_g.settings.gc_percent;
	/* The bit is set first: a collector that attaches now must not overwrite the setting. */
	atomic_fetch_or(&tri_g.settings.chosen, TRI_CHOSEN_GC_PERCENT);
	old = atomic_exchange(&tri_g.view.ctl->gc_percent, percent < 0 ? -1 : percent);
	tri_agent_wake(TRI_WAKE_SETTINGS);
	return old;
}

TRI_EXPORT int64_t tri_set_memory_limit(int64_t bytes)
{
	int64_t old;

	if (tri_start_attached(NULL))
		return TRI_LIMIT_NONE;
	if (bytes < 0)
		return tri_read(&tri_g.view.ctl->memory_limit_bytes);
	atomic_fetch_or(&tri_g.settings.chosen, TRI_CHOSEN_MEMORY_LIMIT);
	old = atomic_exchange(&tri_g.view.ctl->memory_limit_bytes, bytes);
	tri_agent_wake(TRI_WAKE_SETTINGS);
	return old;
}

TRI_EXPORT int tri_read_stats(struct tri_stats *into)
{
	size_t size = into->size;
	struct tri_stats now, *stats = &now;
	const struct tri_interruptions *i = &tri_g.interruptions;
	const struct tri_ctl *ctl;
	int64_t used;
	int err;

	if (size < offsetof(struct tri_stats, forced_cycles))
		return tri_fail(EINVAL, "tricolor: tri_stats.size is %zu; set it to sizeof(struct "
				"tri_stats) before the call", size);
	err = tri_start_attached(NULL);
	if (err)
		return err;
	ctl = tri_g.view.ctl;
	used = tri_read(&ctl->used_pages);
	*stats = (struct tri_stats){
		.size = sizeof(*stats),
		.cycles = tri_read(&ctl->cycles),
		.forced_cycles = tri_read(&ctl->forced_cycles),
		.allocated_bytes = tri_allocated_in_all(ctl),
		.live_bytes = tri_read(&ctl->live_bytes),
		.goal_bytes = tri_read(&ctl->goal_bytes),
		.heap_bytes = used < 0 ? 0 : (uint64_t)used << TRI_PAGE_SHIFT,
		.peak_heap_bytes = tri_read(&ctl->peak_pages) << TRI_PAGE_SHIFT,
		.free_bytes = tri_read(&ctl->free_backed_bytes),
		.released_bytes = tri_read(&ctl->released_bytes),
		.interruption_max_ns = tri_read(&i->all_max_ns),
		.interruption_total_ns = tri_read(&i->all_total_ns),
		.interruptions = tri_read(&i->all_count),
		.assist_ns = tri_read(&ctl->assist_ns),
		.mark_cpu_ns = tri_read(&ctl->mark_cpu_ns),
		.threads = tri_g.nthreads,
		.collector_pid = tri_read(&tri_g.collector_pid),
		.reconnects = tri_read(&tri_g.reconnects),
		.limit_bytes = (uint64_t)tri_read(&ctl->limit_bytes),
		.pressure = tri_pressure(),
		.limit_events = tri_read(&ctl->limit_events),
		.limited_gc_ns = tri_read(&ctl->limited_gc_ns),
		.limited_program_ns = tri_read(&ctl->limited_program_ns),
		.refused = tri_read(&ctl->refused),
		.throttled = tri_read(&ctl->throttled),
		.throttled_ns = tri_read(&ctl->throttled_ns),
		.throttled_max_ns = tri_read(&ctl->throttled_max_ns),
		.throttled_now = tri_read(&ctl->throttled_now),
		.freed_bytes = tri_read(&ctl->freed_bytes),
	};
	/* An older header has fewer figures.  Figures that only a newer header has are set to 0. */
	now.size = size;
	memcpy(into, &now, size < sizeof(now) ? size : sizeof(now));
	if (size > sizeof(now))
		memset((char *)into + sizeof(now), 0, size - sizeof(now));
	return 0;
}
