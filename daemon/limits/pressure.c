// SPDX-License-Identifier: GPL-2.0-only
/*
 * pressure.c - how near a limit is, and what is done as it comes near
 *
 *  1. When use is half-way from a soft limit to the real one, the arenas that count there are
 *     requested to release their free pages at once, and to collect if enough was allocated since
 *     their last cycle.
 *
 *  2. No collection can keep a limit that is below what lives.  The log says so, once for each
 *     value of the limit as long as there is a client.  Memory that was allocated while a cycle
 *     marked is live until the next cycle, but may be garbage, so it does not count for this.
 */
#include "pressure.h"

#include <stdio.h>

#include "daemon/process/log.h"
#include "tricolor.h"

#define MS 1000000ull
/* A request that has not helped is made again after REQUEST_NS, and then less and less often. */
#define REQUEST_NS (50 * MS)
#define REQUEST_MAX_NS (2000 * MS)
/*
 * Clients are told that a limit is near after NEAR_TICKS ticks with a quarter of the reserve in
 * use, and that it is not after ROOM_TICKS ticks well below the soft limit.
 */
#define NEAR_TICKS 2
#define ROOM_TICKS 10

uint64_t pressure_near_bytes(const struct account *a)
{
	return a->soft_bytes + (a->hard_bytes - a->soft_bytes) / 4;
}

uint64_t pressure_urgent_bytes(const struct account *a)
{
	return a->soft_bytes + (a->hard_bytes - a->soft_bytes) / 2;
}

void pressure_judge(const struct account *a)
{
	struct pressure_state *t = a->state;

	if (a->used_bytes > pressure_near_bytes(a)) {
		t->near_ticks++;
		t->room_ticks = 0;
	} else {
		t->near_ticks = 0;
		t->room_ticks += a->used_bytes < a->soft_bytes - a->soft_bytes / 20;
	}
	if (a->used_bytes > pressure_urgent_bytes(a) || t->near_ticks >= NEAR_TICKS)
		t->pressure = TRI_PRESSURE_NEAR;
	else if (t->room_ticks >= ROOM_TICKS)
		t->pressure = TRI_PRESSURE_NONE;
}

uint32_t pressure_of(const struct watched_arena *m)
{
	struct limit_group *g = groups_of(m);
	uint32_t pressure = g->chosen.pressure;

	for (; g; g = g->up)
		if (g->own.pressure > pressure)
			pressure = g->own.pressure;
	return pressure;
}

/* Returns what lives in the heaps that count against @a, how many these are, and one of them. */
static uint64_t reached_in(const struct groups *s, const struct account *a, size_t *heaps,
			   const struct registry_arena **one)
{
	const struct watched_arena *m;
	uint64_t bytes = 0;

	*heaps = 0;
	for (m = s->arenas; m; m = m->next) {
		if (!groups_of(m) || !snapshot_counts(m, a))
			continue;
		/* A client can make the figure up, and the sum must not overflow. */
		bytes +=
			m->reached_bytes < m->resident_bytes ? m->reached_bytes : m->resident_bytes;
		*one = m->r;
		++*heaps;
	}
	return bytes;
}

void pressure_warn(const struct groups *s, const struct account *a)
{
	struct pressure_state *t = a->state;
	const struct registry_arena *one = NULL;
	size_t heaps;
	uint64_t live = reached_in(s, a, &heaps, &one),
		 limit = a->chosen ? a->soft_bytes : a->hard_bytes;
	char name[REGISTRY_NAME];

	if (live <= a->soft_bytes || t->reported_bytes == a->soft_bytes)
		return;
	t->reported_bytes = a->soft_bytes;
	if (heaps == 1)
		registry_name(one, name);
	else
		snprintf(name, sizeof(name), "%zu clients together", heaps);
	log_warning(
		"%s: %.1f MiB live, more than %sthe memory limit of %.1f MiB%s%s: it can't be "
		"kept; raise the limit, or have the program hold on to less",
		name, (double)live / (1 << 20), a->chosen ? "" : "nine tenths of ",
		(double)limit / (1 << 20), a->chosen ? "" : " of ",
		a->chosen ? "" : a->g->level->name);
}

void pressure_request_cycles(struct snapshot *snap, const struct account *a)
{
	struct pressure_state *t = a->state;
	size_t i;

	if (a->used_bytes <= a->soft_bytes) {
		t->request_interval_ns = REQUEST_NS;
		return;
	}
	if ((a->used_bytes <= pressure_urgent_bytes(a) && !a->g->alarmed) ||
	    snap->now - t->requested_ns < t->request_interval_ns)
		return;
	t->requested_ns = snap->now;
	t->request_interval_ns = t->request_interval_ns * 2 < REQUEST_MAX_NS ?
					 t->request_interval_ns * 2 :
					 REQUEST_MAX_NS;
	snapshot_select(snap, a);
	for (i = 0; i < snap->shares.nselected; i++)
		registry_order(snap->arenas[snap->shares.selected[i]]->r, ORDER_URGENT, 0);
}
