// SPDX-License-Identifier: GPL-2.0-only
/*
 * tick.c - one reading of the arenas of a tree of control groups, and what follows from it
 *
 *  1. All arenas of the tree are read, and then all limits (snapshot.c).  Each limit becomes an
 *     *account*: how much room it leaves for arenas.
 *
 *  2. All accounts are split among the arenas that they are for, from the innermost group outwards
 *     (shares.c), and each arena's thread is ordered to keep its share.  Arenas that have to give
 *     memory up get their orders first.
 *
 *  3. If use comes near a limit, clients are told, and cycles are requested (pressure.c).
 *
 *  4. The next tick is the sooner the more has changed.  If nothing has for some ticks, the watcher
 *     sleeps until it is woken (idle.c).
 */
#include "tick.h"

#include <stdlib.h>

#include "idle.h"
#include "pressure.h"
#include "snapshot.h"
#include "tricolor.h"

#define MS 1000000ull
#define TICK_SHORT_NS (20 * MS)		/* above a soft limit */
#define TICK_NS (100 * MS)		/* while shares change */
#define TICK_LONG_NS (400 * MS)		/* while they do not */

/* Order the shares that have changed, smaller ones first.  Returns how many these were. */
static size_t send_shares(struct snapshot *snap)
{
	size_t sent = 0, i;
	int gives;

	for (gives = 1; gives >= 0; gives--) {
		for (i = 0; i < snap->shares.n; i++) {
			uint64_t had = snap->arenas[i]->share_bytes,
				 share = snap->shares.share_bytes[i];

			if (share == had || (share < had) != gives)
				continue;
			watched_arena_order_share(snap->arenas[i], share);
			sent++;
		}
	}
	return sent;
}

/* Returns how long the next tick may wait because of @a, at most @period_ns. */
static uint64_t next_period(const struct account *a, const struct limit_group *top,
			    uint64_t period_ns, uint64_t now)
{
	uint64_t had = a->state->other_bytes, other = a->other_bytes;

	a->state->other_bytes = other;
	if (a->used_bytes > a->soft_bytes)
		return TICK_SHORT_NS;
	if (other > had && top->ticked_ns) {
		/*
		 * Others grow.  At this pace half of what is left is to be free at the next tick.
		 */
		double pace = (double)(other - had) / (double)(now - top->ticked_ns);
		double half_ns = (double)(a->hard_bytes - a->used_bytes) / pace / 2;

		if (half_ns < (double)period_ns)
			return half_ns > TICK_SHORT_NS ? (uint64_t)half_ns : TICK_SHORT_NS;
	}
	return period_ns;
}

static void tick_tree(const struct groups *s, struct limit_group *top, struct snapshot *snap)
{
	uint64_t period = top->period_ns;
	struct watched_arena *m;
	size_t i, sent;

	snapshot_read(s, top, snap);
	for (i = 0; i < snap->naccounts; i++) {
		snapshot_select(snap, &snap->accounts[i]);
		shares_settle(&snap->shares, snap->accounts[i].room_bytes);
	}
	sent = send_shares(snap);
	period = sent || !period ? TICK_NS : period * 2 < TICK_LONG_NS ? period * 2 : TICK_LONG_NS;
	if (snap->young)
		period = TICK_SHORT_NS;
	for (i = 0; i < snap->naccounts; i++) {
		const struct account *a = &snap->accounts[i];

		pressure_judge(a);
		pressure_warn(s, a);
		pressure_request_cycles(snap, a);
		/* The kernel's thresholds are for the group's own limit. */
		if (!a->chosen)
			alarm_thresholds(&a->g->alarm, &a->g->level->files, pressure_near_bytes(a),
					 pressure_urgent_bytes(a));
		period = next_period(a, top, period, snap->now);
		a->g->alarmed = false;
	}
	for (m = s->arenas; m; m = m->next)
		if (groups_in(m, top))
			watched_arena_order_pressure(m, pressure_of(m));
	top->period_ns = period;
	top->idle_ticks = snap->active || sent ? 0 : top->idle_ticks + 1;
	snap->sleepy = idle_begin(s, snap, top->idle_ticks);
}

/* There is no limit, or no more. */
static void lift_limits(const struct groups *s, struct limit_group *top)
{
	struct watched_arena *m;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top))
			continue;
		if (m->share_bytes != UINT64_MAX)
			watched_arena_order_share(m, UINT64_MAX);
		watched_arena_order_pressure(m, TRI_PRESSURE_NONE);
	}
	top->own.pressure = top->chosen.pressure = TRI_PRESSURE_NONE;
	top->alarmed = false;
	top->next_ns = UINT64_MAX;
}

static void count(const struct groups *s, const struct limit_group *top, size_t *members,
		  size_t *groups)
{
	const struct watched_arena *m;
	struct limit_group *g;

	*members = *groups = 0;
	for (m = s->arenas; m; m = m->next)
		*members += groups_in(m, top);
	for (g = s->groups; g; g = g->next)
		*groups += groups_top(g) == top;
}

void tick(const struct groups *s, struct limit_group *top, uint64_t chosen_bytes, uint64_t now)
{
	struct snapshot snap = { .chosen_bytes = chosen_bytes, .now = now };
	size_t members, groups;

	if (!tick_limited(top, chosen_bytes)) {
		lift_limits(s, top);
		top->ticked_ns = now;
		if (tick_must_poll(s, top))
			top->next_ns = idle_poll_limits(s, top) ? now + TICK_LONG_NS : UINT64_MAX;
		return;
	}
	count(s, top, &members, &groups);
	snap.arenas = calloc(members + 1, sizeof(*snap.arenas));
	snap.accounts = calloc(2 * groups, sizeof(*snap.accounts));
	/* One arena more: each is read before it is known whether it is exempt. */
	if (shares_begin(&snap.shares, members + 1) && snap.arenas && snap.accounts)
		tick_tree(s, top, &snap);
	else
		top->period_ns = TICK_NS;
	shares_free(&snap.shares);
	free(snap.arenas);
	free(snap.accounts);
	top->ticked_ns = now;
	top->next_ns = snap.sleepy ? UINT64_MAX : now + top->period_ns;
}
