// SPDX-License-Identifier: GPL-2.0-only
/* orders.c - taking and meeting the orders of an arena: see orders.h */
#include <assert.h>
#include <unistd.h>

#include "arena.h"
#include "channel.h"
#include "daemon/process/config.h"
#include "daemon/clients/registry.h"
#include "limit.h"
#include "linked.h"
#include "orders.h"
#include "pacing.h"
#include "publish.h"
#include "settings.h"
#include "tricolor.h"

/* Order @number of @kind was met. */
static void met(struct arena *a, int from, enum board_order kind, uint32_t number)
{
	struct arena_orders *o = &a->orders[from];

	assert(o->board);
	o->met[kind] = number;
	board_done(o->board, kind, number);
	if (from == FROM_REGISTRY)
		registry_notify(a->registry);
	else if (kind != ORDER_SHARE && kind != ORDER_PRESSURE && kind != ORDER_WAKE_AFTER &&
		 kind != ORDER_URGENT && linked_met(a))
		pacing_update(a);
}

/* Once a policy splits memory, what our own watcher orders does not count. */
static bool counts(const struct arena *a, int from, enum board_order kind)
{
	return from == FROM_POLICY || !a->linked.splits ||
	       (kind != ORDER_SHARE && kind != ORDER_PRESSURE && kind != ORDER_WAKE_AFTER &&
		kind != ORDER_URGENT);
}

/* Whether an order makes sense, as another process may write anything to a board. */
static bool makes_sense(enum board_order kind, int64_t value)
{
	switch (kind) {
	case ORDER_GC_PERCENT:
		return value >= -1 && value <= CONFIG_GC_PERCENT_MAX;
	case ORDER_MEMORY_LIMIT:
	case ORDER_SHARE:
	case ORDER_WAKE_AFTER:
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
		/* A policy that ends closes the link, and has no order for that. */
		a->stop |= from == FROM_REGISTRY;
		return;
	case ORDER_SHARE:
		if (from == FROM_POLICY)
			linked_splits(a);
		pacing_set_share(a, value);
		publish_figures(a);
		break;
	case ORDER_PRESSURE:
		limit_set_pressure(a, (uint32_t)value);
		break;
	case ORDER_WAKE_AFTER:
		pacing_set_wake_after(a, value);
		break;
	case ORDER_URGENT:
		limit_set_urgent(a);
		break;
	case ORDER_PUBLISH:
		publish_figures(a);
		break;
	case ORDER_DEFAULTS:
		settings_learn_defaults(a);
		settings_apply_defaults(a);
		break;
	default:
		settings_set(a, kind, value);
		break;
	}
	met(a, from, kind, number);
}

static void take_from(struct arena *a, int from)
{
	struct arena_orders *o = &a->orders[from];
	uint32_t number;
	int64_t value;
	int kind;

	/* It is cleared before the mailboxes are read, so that a later order sets it again. */
	atomic_store(&o->board->has_orders, 0);
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

void orders_take(struct arena *a)
{
	uint64_t times;
	int i;

	/* Orders on the policy's board do not make the eventfd readable. */
	while (read(a->registry->order_fd, &times, sizeof(times)) >= 0 || orders_are_waiting(a)) {
		for (i = 0; i < FROM; i++)
			if (a->orders[i].board)
				take_from(a, i);
		if (!linked_elected(a))
			return;
		pacing_update(a);
	}
}

void orders_take_polled(struct arena *a, const struct pollfd *p)
{
	if (p[POLL_ORDERS].revents)
		orders_take(a);
	if (!p[POLL_POLICY].revents)
		return;
	if (linked_receive(a))
		pacing_update(a);
	orders_take(a);
}

void orders_begin_link(struct arena *a)
{
	if (!linked_begin(a))
		return;
	pacing_update(a);
	orders_take(a);
}

bool orders_are_waiting(const struct arena *a)
{
	int i;

	for (i = 0; i < FROM; i++)
		if (a->orders[i].board &&
		    atomic_load_explicit(&a->orders[i].board->has_orders, memory_order_relaxed))
			return true;
	return false;
}

bool orders_want_cycle(const struct arena *a)
{
	const struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++)
		if (o->gc != o->met[ORDER_GC] || o->free != o->met[ORDER_FREE])
			return true;
	return false;
}

void orders_cycle_begins(struct arena *a)
{
	struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++) {
		o->cycle_gc = o->gc;
		o->cycle_free = o->free;
	}
}

bool orders_want_release(const struct arena *a)
{
	const struct arena_orders *o;

	for (o = a->orders; o < a->orders + FROM; o++)
		if (o->cycle_free != o->met[ORDER_FREE])
			return true;
	return false;
}

void orders_cycle_ends(struct arena *a)
{
	struct arena_orders *o;
	int i;

	for (i = 0; i < FROM; i++) {
		o = &a->orders[i];
		if (o->board && o->cycle_gc != o->met[ORDER_GC])
			met(a, i, ORDER_GC, o->cycle_gc);
		if (o->board && o->cycle_free != o->met[ORDER_FREE])
			met(a, i, ORDER_FREE, o->cycle_free);
	}
}
