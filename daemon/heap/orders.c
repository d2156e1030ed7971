// SPDX-License-Identifier: GPL-2.0-only
/*
 * orders.c - the arena's side of its boards: its figures out, others' orders in
 *
 *  0. There are two at most: the registry's, and that of a policy in another process (link.h).  Figures go to
 *     both, and orders of both are met alike.
 *  1. Settings that are ordered go to the client's control page, as if the client had made them
 *     there, and to the pacer: at once, also in the middle of a handshake or of marking.
 *  2. A cycle that is ordered begins as soon as no other is under way; it answers for all orders
 *     that came before it began.
 *  3. Figures are published when something has changed them: a cycle's end, a setting, memory that
 *     was released; and when somebody asks.  An idle arena costs nothing.
 */
#include <unistd.h>

#include "arena.h"
#include "core/system/clock.h"
#include "daemon/process/config.h"
#include "device.h"
#include "daemon/clients/registry.h"
#include "tricolor.h"

void arena_publish(struct arena *a)
{
	const struct cycle_figures *c = &a->last;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t allocated = tri_read(&ctl->allocated_bytes), since = allocated - a->live_at_bytes;
	uint64_t peak = tri_read(&ctl->peak_pages);
	struct board_figures f = {
		.published_ns = clock_ns(),
		.gc_percent = a->pacer.config.gc_percent,
		.limit_bytes = a->limit.in_force_bytes,
		.allocated_bytes = allocated,
		.live_bytes = a->live_bytes,
		.reached_bytes = a->reached_bytes,
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

/** A cycle has come to @phase; PHASES: there is none. */
void arena_phase(struct arena *a, enum phase phase)
{
	int i;

	for (i = 0; i < FROM; i++)
		if (a->orders[i].board)
			board_set_phase(a->orders[i].board, phase);
	device_phase(a, phase);
}

/** Make a setting: ORDER_GC_PERCENT, ORDER_MEMORY_LIMIT. */
void arena_set(struct arena *a, enum board_order kind, int64_t value)
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

/** What the configuration has for clients that have not chosen, on a board. */
void arena_default_settings(struct board *b)
{
	atomic_store(&b->defaults.gc_percent, config_gc_percent());
	atomic_store(&b->defaults.memory_limit_bytes, config_memory_limit_bytes());
	atomic_store(&b->defaults.limit_policy, config_limit_policy());
}

/* The policy's configuration counts, if there is one; and what it has said does after its end. */
static void learn_defaults(struct arena *a)
{
	struct board *b = a->orders[FROM_POLICY].board;
	int32_t percent;
	int64_t limit;

	if (!b) {
		a->defaults = (struct arena_defaults){ config_gc_percent(), config_memory_limit_bytes(),
						       config_limit_policy() };
		return;
	}
	percent = atomic_load(&b->defaults.gc_percent);
	limit = atomic_load(&b->defaults.memory_limit_bytes);
	if (percent >= -1 && percent <= CONFIG_GC_PERCENT_MAX)
		a->defaults.gc_percent = percent;
	if (limit >= 0 || limit == TRI_LIMIT_AUTO)
		a->defaults.memory_limit_bytes = limit;
	a->defaults.limit_policy = atomic_load(&b->defaults.limit_policy) == TRI_LIMIT_FAIL_FAST ?
		TRI_LIMIT_FAIL_FAST : TRI_LIMIT_CONTINUE;
}

/**
 * A client has come; @unchosen: TRI_HELLO_DEFAULT_*.  What is not as in a new arena, a predecessor
 * was told to set, and it stays.
 */
void arena_find_defaults(struct arena *a, uint64_t unchosen)
{
	struct tri_ctl *ctl = a->view.ctl;

	learn_defaults(a);
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
	int32_t percent = a->defaults.gc_percent;
	int64_t limit = a->defaults.memory_limit_bytes;
	uint32_t policy = a->defaults.limit_policy;

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

/* Order @number of @kind was met. */
static void met(struct arena *a, int from, enum board_order kind, uint32_t number)
{
	struct arena_orders *o = &a->orders[from];

	o->met[kind] = number;
	board_done(o->board, kind, number);
	if (from == FROM_REGISTRY)
		registry_tell(a->registry);
	else if (kind != ORDER_SHARE && kind != ORDER_PRESSURE && kind != ORDER_DOZE && kind != ORDER_URGENT)
		linked_met(a);
}

/* What our own watcher orders does not count beside a policy, once that one's watcher splits. */
static bool counts(const struct arena *a, int from, enum board_order kind)
{
	return from == FROM_POLICY || !a->linked.splits ||
	       (kind != ORDER_SHARE && kind != ORDER_PRESSURE && kind != ORDER_DOZE && kind != ORDER_URGENT);
}

/* A board may have anything on it. */
static bool makes_sense(enum board_order kind, int64_t value)
{
	switch (kind) {
	case ORDER_GC_PERCENT:
		return value >= -1 && value <= CONFIG_GC_PERCENT_MAX;
	case ORDER_MEMORY_LIMIT:
	case ORDER_SHARE:
	case ORDER_DOZE:
		return value >= 0;
	case ORDER_PRESSURE:
		return value >= TRI_PRESSURE_NONE && value < TRI_PRESSURE_OVER;
	default:
		return true;
	}
}

/* Do what can be done at once. */
static void meet(struct arena *a, int from, enum board_order kind, uint32_t number, int64_t value)
{
	switch (kind) {
	case ORDER_GC:
		a->orders[from].gc = number;
		return;
	case ORDER_FREE:
		a->orders[from].free = number;
		return;
	case ORDER_STOP:
		/* A policy ends by hanging up. */
		a->stop |= from == FROM_REGISTRY;
		return;
	case ORDER_SHARE:
		if (from == FROM_POLICY)
			linked_splits(a);
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
		learn_defaults(a);
		arena_defaults(a);
		break;
	default:
		arena_set(a, kind, value);
		break;
	}
	met(a, from, kind, number);
}

static void take_orders(struct arena *a, int from)
{
	struct arena_orders *o = &a->orders[from];
	uint32_t number;
	int64_t value;
	int kind;

	/* Cleared before the mailboxes are looked at: what comes after is a new ring. */
	atomic_store(&o->board->rung, 0);
	/* The link may be found to be at its end meanwhile, and the board gone. */
	for (kind = 0; kind < ORDERS && o->board; kind++) {
		if (!board_take(o->board, kind, o->met[kind], &number, &value))
			continue;
		if (counts(a, from, kind) && makes_sense(kind, value))
			meet(a, from, kind, number, value);
		else
			met(a, from, kind, number);
	}
}

/**
 * See what is ordered: what can be done at once is done, the rest noted.  Arena's thread, whenever
 * it waits, and now and then while it marks.
 */
void arena_orders(struct arena *a)
{
	uint64_t times;
	int i;

	/* Nothing to be read is no reason not to look. */
	if (read(a->registry->order_fd, &times, sizeof(times)) < 0 && !arena_is_rung(a))
		return;
	for (i = 0; i < FROM; i++)
		if (a->orders[i].board)
			take_orders(a, i);
	linked_elected(a);
}

/** Whether somebody has given orders since they were last looked at. */
bool arena_is_rung(const struct arena *a)
{
	int i;

	for (i = 0; i < FROM; i++)
		if (a->orders[i].board && atomic_load_explicit(&a->orders[i].board->rung, memory_order_relaxed))
			return true;
	return false;
}

/** Whether a cycle is ordered that has not been run. */
bool arena_cycle_ordered(const struct arena *a)
{
	const struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++)
		if (o->gc != o->met[ORDER_GC] || o->free != o->met[ORDER_FREE])
			return true;
	return false;
}

/** A cycle begins: it meets the orders that have come until now. */
void arena_cycle_begins(struct arena *a)
{
	struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++) {
		o->cycle_gc = o->gc;
		o->cycle_free = o->free;
	}
}

/** Whether this cycle's end is to give all free memory back. */
bool arena_free_ordered(const struct arena *a)
{
	const struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++)
		if (o->cycle_free != o->met[ORDER_FREE])
			return true;
	return false;
}

/** A cycle has ended. */
void arena_cycle_over(struct arena *a)
{
	struct arena_orders *o;
	int i;

	a->last = a->now;
	if (a->last.interrupted_max_ns > a->interrupted_max_ns)
		a->interrupted_max_ns = a->last.interrupted_max_ns;
	a->interrupted_total_ns += a->last.interrupted_total_ns;
	a->interruptions += a->last.interruptions;
	arena_phase(a, PHASES);
	arena_publish(a);
	/* After the figures: who has waited for the cycle finds it in them. */
	for (i = 0; i < FROM; i++) {
		o = &a->orders[i];
		if (o->board && o->cycle_gc != o->met[ORDER_GC])
			met(a, i, ORDER_GC, o->cycle_gc);
		if (o->board && o->cycle_free != o->met[ORDER_FREE])
			met(a, i, ORDER_FREE, o->cycle_free);
	}
}
