// SPDX-License-Identifier: GPL-2.0-only
/* describe.c - an arena in the words of the control protocol: see describe.h */
#include "describe.h"

#include <stdatomic.h>
#include <string.h>

#include "core/system/clock.h"
#include "daemon/clients/registry.h"
#include "daemon/heap/linked.h"

static uint64_t age(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* @phase: an enum phase, from a board that another process may write anything to. */
static uint32_t phase_of(uint32_t phase)
{
	switch (phase) {
	case PHASE_BARRIER:
		return CONTROL_PHASE_BARRIER;
	case PHASE_MARK:
		return CONTROL_PHASE_MARK;
	case PHASE_TERMINATION:
		return CONTROL_PHASE_TERMINATION;
	case PHASE_SWEEP:
		return CONTROL_PHASE_SWEEP;
	}
	return CONTROL_PHASE_IDLE;
}

void describe_arena(struct registry_arena *r, struct control_arena *out)
{
	struct registry_seen seen = registry_seen(r);
	uint64_t now = clock_ns();
	struct board_figures f;

	registry_read(r, &f);
	*out = (struct control_arena){
		.id = r->id,
		.pid = r->pid,
		.uid = r->uid,
		.gid = r->gid,
		.attached_s = r->attached_s,
		.attached_age_ns = age(now, r->attached_ns),
		.published_age_ns = age(now, f.published_ns ? f.published_ns : r->attached_ns),
		.arena_bytes = r->arena_bytes,
		.phase = phase_of(atomic_load_explicit(&r->board->phase, memory_order_relaxed)),
		.threads = (uint32_t)f.threads,
		.gc_percent = f.gc_percent,
		.limit_bytes = f.limit_bytes,
		.allocated_bytes = f.allocated_bytes,
		.live_bytes = f.live_bytes,
		.now_bytes = f.now_bytes,
		.goal_bytes = f.goal_bytes,
		.trigger_bytes = f.trigger_bytes,
		.heap_bytes = f.heap_bytes,
		.peak_heap_bytes = f.peak_heap_bytes,
		.free_bytes = f.free_bytes,
		.released_bytes = f.released_bytes,
		.cycles = f.cycles,
		.forced_cycles = f.forced_cycles,
		.mark_cpu_ns = f.mark_cpu_ns,
		.assist_ns = f.assist_ns,
		.interrupted_max_ns = f.interrupted_max_ns,
		.interrupted_total_ns = f.interrupted_total_ns,
		.interruptions = f.interruptions,
		.cycle_age_ns = f.cycle_end_ns ? age(now, f.cycle_end_ns) : UINT64_MAX,
		.cycle_wall_ns = f.cycle_wall_ns,
		.cycle_cpu_ns = f.cycle_cpu_ns,
		.cycle_scan_bytes = f.cycle_scan_bytes,
		.cycle_objects = f.cycle_objects,
		.cycle_root_bytes = f.cycle_root_bytes,
		.pressure = (uint32_t)f.pressure,
		.limit_policy = (uint32_t)f.limit_policy,
		.limit_events = f.limit_events,
		.limited_gc_ns = f.limited_gc_ns,
		.limited_program_ns = f.limited_program_ns,
		.throttled = f.throttled,
		.throttled_ns = f.throttled_ns,
		.throttled_max_ns = f.throttled_max_ns,
		.freed_bytes = f.freed_bytes,
	};
	memcpy(out->comm, r->comm, sizeof(out->comm));
	if (r->claim) {
		out->client_pid = r->claim->pid;
		memcpy(out->host, r->claim->host, sizeof(out->host));
		memcpy(out->client_cgroup, r->claim->cgroup, sizeof(out->client_cgroup));
	}
	registry_cgroup(r, out->cgroup, sizeof(out->cgroup));
	out->cgroup_seen = seen.by;
	out->cgroup_levels = seen.levels;
	memcpy(out->limit_unseen, seen.why, sizeof(out->limit_unseen));
	out->marker_pid = r->marker;
	out->policy_pid = registry_is_linked(r) ? 0 : linked_policy();
}
