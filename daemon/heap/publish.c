// SPDX-License-Identifier: GPL-2.0-only
/* publish.c - publishing the figures and the phase of an arena: see publish.h */
#include "publish.h"

#include "arena.h"
#include "core/system/clock.h"
#include "device.h"
#include "pacer.h"

/* What only rises is shown as such, whatever the client writes, and though its caches give back. */
static uint64_t highest(uint64_t *so_far, uint64_t now)
{
	if (now > *so_far)
		*so_far = now;
	return *so_far;
}

void publish_figures(struct arena *a)
{
	const struct cycle_figures *c = &a->last;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t peak = tri_read(&ctl->peak_pages);
	struct board_figures f = {
		.published_ns = clock_ns(),
		.gc_percent = a->pacer.config.gc_percent,
		.limit_bytes = a->limit.in_force_bytes,
		.allocated_bytes = highest(&a->totals.allocated_bytes, tri_allocated_in_all(ctl)),
		.freed_bytes = highest(&a->totals.freed_bytes, tri_read(&ctl->freed_bytes)),
		.live_bytes = a->live.bytes,
		.reached_bytes = a->live.reached_bytes,
		.now_bytes = arena_live_bytes(a),
		.goal_bytes = pacer_goal_bytes(&a->pacer),
		.trigger_bytes = pacer_trigger_bytes(&a->pacer),
		.heap_bytes = arena_used_bytes(a),
		.peak_heap_bytes = (peak < a->view.heap_pages ? peak : a->view.heap_pages)
				   << TRI_PAGE_SHIFT,
		.free_bytes = tri_read(&ctl->free_backed_bytes),
		.released_bytes = tri_read(&ctl->released_bytes),
		.cycles = tri_read(&ctl->cycles),
		.forced_cycles = tri_read(&ctl->forced_cycles),
		.mark_cpu_ns = a->totals.gc_cpu_ns,
		.assist_ns = tri_read(&ctl->assist_ns),
		.interrupted_max_ns = a->totals.interrupted_max_ns,
		.interrupted_total_ns = a->totals.interrupted_total_ns,
		.interruptions = a->totals.interruptions,
		.threads = a->client.threads,
		.cycle_end_ns = a->cycle_end_ns,
		.cycle_wall_ns = c->wall_ns[PHASE_BARRIER] + c->wall_ns[PHASE_MARK] +
				 c->wall_ns[PHASE_TERMINATION],
		.cycle_cpu_ns = c->cpu_ns[PHASE_BARRIER] + c->cpu_ns[PHASE_MARK] +
				c->cpu_ns[PHASE_TERMINATION] + c->cpu_ns[PHASE_SWEEP],
		.cycle_scan_bytes = c->scan_bytes,
		.cycle_objects = c->objects,
		.cycle_root_bytes = c->root_bytes,
		.overhead_bytes = pacer_overhead_bytes(&a->pacer),
		.bound_bytes = a->limit.bound_bytes,
		.cap_bytes = pacer_cap_bytes(&a->pacer),
		.pressure = tri_read(&ctl->pressure),
		.limit_policy = tri_read(&ctl->limit_policy),
		.limit_events = tri_read(&ctl->limit_events),
		.limited_gc_ns = a->limit.gc_ns,
		.limited_program_ns = a->limit.program_ns,
		.throttled = tri_read(&ctl->throttled),
		.throttled_ns = tri_read(&ctl->throttled_ns),
		.throttled_max_ns = tri_read(&ctl->throttled_max_ns),
	};
	int i;

	for (i = 0; i < FROM; i++)
		if (a->orders[i].board)
			board_publish(a->orders[i].board, &f);
	device_publish(a);
}

void publish_phase(struct arena *a, enum phase phase)
{
	int i;

	for (i = 0; i < FROM; i++)
		if (a->orders[i].board)
			board_set_phase(a->orders[i].board, phase);
	device_phase(a, phase);
}
