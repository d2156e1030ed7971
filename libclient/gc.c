// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * gc.c - asking for cycles, settings, statistics
 *
 * A request is a number.  The collector publishes the newest number that a finished cycle covers: one
 * that it had read before the cycle began.  Numbers survive a collector: the next one is told.
 */
#include <errno.h>

#include "futex.h"
#include "internal.h"

/* How long to go on without any collector. */
#define WITHOUT_NS 10000000000ull

__attribute__((noinline))
int tri_gc_wait(tri_au32 *wanted, tri_au32 *done, uint32_t wake)
{
	struct tri_thread *t = tri__tls.thread;
	uint32_t mine = atomic_fetch_add(wanted, 1) + 1, seen;
	uintptr_t regs[6], sp = tri_save_registers(regs);
	uint64_t without;
	int err = 0;

	/* What the caller has dropped must not be found in what it left behind. */
	tri_forget_registers();
	/*
	 * This frame, with the registers in it, stays until the wait is over.  Blocked before the agent
	 * is told: it need not interrupt us then, and finds no stale registers in a signal frame.
	 */
	if (!t->blocking_depth++)
		tri_thread_block(t, sp, sp);
	tri_agent_wake(wake);
	while ((int32_t)((seen = tri_read_acquire(done)) - mine) < 0) {
		tri_futex_wait(done, seen, 100000000);
		without = tri_read(&tri_g.without_collector_ns);
		if (without && tri_now_ns() - without > WITHOUT_NS) {
			err = tri_fail(ETIMEDOUT, "tricolor: no collector for 10 seconds; is tricolord "
				       "installed, and TRICOLOR_SOCKET or TRICOLOR_DAEMON right?");
			break;
		}
	}
	if (!--t->blocking_depth)
		tri_thread_unblock(t);
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

	return err ? err : tri_gc_wait(&tri_g.free_wanted, &tri_g.view.ctl->free_done, TRI_WAKE_FREE);
}

TRI_EXPORT int tri_set_gc_percent(int percent)
{
	int old;

	if (tri_start(NULL))
		return tri_g.settings.gc_percent;
	/* First: a collector that attaches now must not set its default over it. */
	atomic_fetch_or(&tri_g.settings.chosen, TRI_CHOSEN_GC_PERCENT);
	old = atomic_exchange(&tri_g.view.ctl->gc_percent, percent < 0 ? -1 : percent);
	tri_agent_wake(TRI_WAKE_SETTINGS);
	return old;
}

TRI_EXPORT int64_t tri_set_memory_limit(int64_t bytes)
{
	int64_t old;

	if (tri_start(NULL))
		return TRI_LIMIT_NONE;
	if (bytes < 0)
		return tri_read(&tri_g.view.ctl->memory_limit_bytes);
	atomic_fetch_or(&tri_g.settings.chosen, TRI_CHOSEN_MEMORY_LIMIT);
	old = atomic_exchange(&tri_g.view.ctl->memory_limit_bytes, bytes);
	tri_agent_wake(TRI_WAKE_SETTINGS);
	return old;
}

TRI_EXPORT int tri_read_stats(struct tri_stats *stats)
{
	const struct tri_interruptions *i = &tri_g.interruptions;
	const struct tri_ctl *ctl;
	int64_t used;
	int err;

	if (stats->size < sizeof(*stats))
		return tri_fail(EINVAL, "tricolor: tri_stats.size is %zu; set it to sizeof(struct "
				"tri_stats) before the call", stats->size);
	err = tri_start(NULL);
	if (err)
		return err;
	ctl = tri_g.view.ctl;
	used = tri_read(&ctl->used_pages);
	*stats = (struct tri_stats){
		.size = sizeof(*stats),
		.cycles = tri_read(&ctl->cycles),
		.forced_cycles = tri_read(&ctl->forced_cycles),
		.allocated_bytes = tri_read(&ctl->allocated_bytes),
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
	};
	return 0;
}
