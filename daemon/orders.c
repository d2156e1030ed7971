// SPDX-License-Identifier: GPL-2.0-only
/*
 * orders.c - the arena's side of the registry: its figures out, others' orders in
 *
 *  1. Settings that are ordered go to the client's control page, as if the client had made them
 *     there, and to the pacer: at once, also in the middle of a handshake or of marking.
 *  2. A cycle that is ordered begins as soon as no other is under way; it answers for all orders
 *     that came before it began.
 *  3. Figures are published when something has changed them: a cycle's end, a setting, memory that
 *     was released; and when somebody asks.  An idle arena costs nothing.
 */
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "config.h"
#include "device.h"
#include "registry.h"
#include "tricolor.h"

void arena_publish(struct arena *a)
{
	const struct cycle_figures *c = &a->last;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t allocated = tri_read(&ctl->allocated_bytes), since = allocated - a->live_at_bytes;
	uint64_t peak = tri_read(&ctl->peak_pages);
	struct registry_figures f = {
		.published_ns = clock_ns(),
		.gc_percent = a->pacer.config.gc_percent,
		.limit_bytes = a->limit.in_force_bytes,
		.allocated_bytes = allocated,
		.live_bytes = a->live_bytes,
		.now_bytes = a->live_bytes + ((int64_t)since < 0 ? 0 : since),
		.goal_bytes = pacer_goal_bytes(&a->pacer),
		.trigger_bytes = pacer_trigger_bytes(&a->pacer),
		.heap_bytes = arena_used_bytes(a),
		.peak_heap_bytes = (peak < a->view.heap_pages ? peak : a->view.heap_pages)
				   << TRI_PAGE_SHIFT,
		.free_bytes = tri_read(&ctl->free_backed_bytes),
		.released_bytes = tri_read(&ctl->released_bytes),
		.cycles = tri_read(&ctl->cycles),
		.forced_cycles = tri_read(&ctl->forced_cycles),
		.mark_cpu_ns = a->gc_cpu_ns,
		.assist_ns = tri_read(&ctl->assist_ns),
		.interrupted_max_ns = a->interrupted_max_ns,
		.interrupted_total_ns = a->interrupted_total_ns,
		.interruptions = a->interruptions,
		.threads = a->threads,
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
		.cap_bytes = limit_cap(a),
		.pressure = tri_read(&ctl->pressure),
		.limit_policy = tri_read(&ctl->limit_policy),
		.limit_events = tri_read(&ctl->limit_events),
		.limited_gc_ns = a->limit.gc_ns,
		.limited_program_ns = a->limit.program_ns,
	};

	registry_publish(a->registry, &f);
	device_publish(a);
}

/** Make a setting: ORDER_GC_PERCENT, ORDER_MEMORY_LIMIT. */
void arena_set(struct arena *a, enum registry_order kind, int64_t value)
{
	struct tri_ctl *ctl = a->view.ctl;

	if (kind == ORDER_GC_PERCENT) {
		a->gc_percent_default = false;
		tri_write(&ctl->gc_percent, (int32_t)value);
	} else {
		a->limit_default = false;
		tri_write(&ctl->memory_limit_bytes, value);
	}
	cycle_settings(a);
	arena_publish(a);
}

/**
 * A client has come; @unchosen: TRI_HELLO_DEFAULT_*.  What is not as in a new arena, a predecessor
 * was told to set, and it stays.
 */
void arena_find_defaults(struct arena *a, uint64_t unchosen)
{
	struct tri_ctl *ctl = a->view.ctl;

	a->gc_percent_seen = tri_read(&ctl->gc_percent);
	a->limit_seen = tri_read(&ctl->memory_limit_bytes);
	a->policy_seen = tri_read(&ctl->limit_policy);
	a->gc_percent_default = unchosen & TRI_HELLO_DEFAULT_GC_PERCENT &&
				a->gc_percent_seen == CONFIG_GC_PERCENT;
	a->limit_default =
		unchosen & TRI_HELLO_DEFAULT_MEMORY_LIMIT && a->limit_seen == TRI_LIMIT_AUTO;
	a->policy_default = unchosen & TRI_HELLO_DEFAULT_LIMIT_POLICY &&
			    a->policy_seen == TRI_LIMIT_CONTINUE;
}

/**
 * Settings, with the configuration's where nobody has chosen.  A client that chooses at this moment
 * wins: then the control page does not hold what we saw there.
 */
void arena_defaults(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	int32_t percent = config_gc_percent();
	int64_t limit = config_memory_limit_bytes();
	uint32_t policy = config_limit_policy();

	if (a->gc_percent_default) {
		a->gc_percent_default = atomic_compare_exchange_strong(
			&ctl->gc_percent, &a->gc_percent_seen, percent);
		a->gc_percent_seen = percent;
	}
	if (a->limit_default) {
		a->limit_default = atomic_compare_exchange_strong(&ctl->memory_limit_bytes,
								  &a->limit_seen, limit);
		a->limit_seen = limit;
	}
	if (a->policy_default) {
		a->policy_default = atomic_compare_exchange_strong(&ctl->limit_policy,
								   &a->policy_seen, policy);
		a->policy_seen = policy;
	}
	cycle_settings(a);
	arena_publish(a);
}

/**
 * See what is ordered: what can be done at once is done, the rest noted.  Arena's thread, whenever
 * it waits, and now and then while it marks.
 */
void arena_orders(struct arena *a)
{
	struct registry_arena *r = a->registry;
	uint64_t rung;
	uint32_t number;
	int64_t value;
	int kind;

	/* Cleared before the mailboxes are looked at: what comes after is a new ring. */
	atomic_store(&r->rung, false);
	if (read(r->order_fd, &rung, sizeof(rung)) < 0)
		return;
	for (kind = 0; kind < ORDERS; kind++) {
		if (!registry_take(r, kind, &number, &value))
			continue;
		switch (kind) {
		case ORDER_GC:
			a->order_gc = number;
			continue;
		case ORDER_FREE:
			a->order_free = number;
			continue;
		case ORDER_STOP:
			a->stop = true;
			continue;
		case ORDER_SHARE:
			limit_share(a, value);
			arena_publish(a);
			break;
		case ORDER_PRESSURE:
			limit_pressure(a, (uint32_t)value);
			break;
		case ORDER_DOZE:
			limit_doze(a, value);
			break;
		case ORDER_URGENT:
			limit_urge(a);
			break;
		case ORDER_PUBLISH:
			arena_publish(a);
			break;
		case ORDER_DEFAULTS:
			arena_defaults(a);
			break;
		default:
			arena_set(a, kind, value);
			break;
		}
		registry_done(r, kind, number);
	}
}

/** Whether a cycle is ordered that has not been run. */
bool arena_cycle_ordered(const struct arena *a)
{
	return a->order_gc != registry_met(a->registry, ORDER_GC) ||
	       a->order_free != registry_met(a->registry, ORDER_FREE);
}

/** A cycle has ended.  @order_gc, @order_free: newest orders when it began. */
void arena_cycle_over(struct arena *a, uint32_t order_gc, uint32_t order_free)
{
	struct registry_arena *r = a->registry;

	a->last = a->now;
	if (a->last.interrupted_max_ns > a->interrupted_max_ns)
		a->interrupted_max_ns = a->last.interrupted_max_ns;
	a->interrupted_total_ns += a->last.interrupted_total_ns;
	a->interruptions += a->last.interruptions;
	registry_phase(r, PHASES);
	device_phase(a, PHASES);
	arena_publish(a);
	/* After the figures: who has waited for the cycle finds it in them. */
	if (order_gc != registry_met(r, ORDER_GC))
		registry_done(r, ORDER_GC, order_gc);
	if (order_free != registry_met(r, ORDER_FREE))
		registry_done(r, ORDER_FREE, order_free);
}
