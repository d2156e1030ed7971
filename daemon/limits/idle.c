// SPDX-License-Identifier: GPL-2.0-only
/*
 * idle.c - what is done before the watcher sleeps
 *
 * The kernel does not tell everywhere that use of a group grows: version 2 of cgroups knows no
 * thresholds.  There a neighbour may grow while the watcher sleeps.  So before it sleeps, idle
 * arenas give back what they do not need, if the group is more than half full.  And they are told
 * to wake the watcher when they allocate again, before they have used much of shares that may no
 * longer fit.
 *
 * The same is done where the kernel does not tell that a limit is written, as without /proc there
 * is no inotify on a descriptor.  A limit that shrinks while all are idle is then read before any
 * of them has used much of the old one.
 */
#include "idle.h"

#include "core/system/saturate.h"

/*
 * After TICKS_IDLE ticks in which no arena was at work the watcher sleeps until it is woken; or
 * after TICKS_IDLE_UNWATCHED where the kernel does not wake it.
 */
#define TICKS_IDLE 3
#define TICKS_IDLE_UNWATCHED 12
#define IDLE_RELEASE_PARTS 8		/* an idle arena gives back an eighth of it, or nothing */

/* Whether the kernel will not tell that use of the group grows, or that its limit shrinks. */
static bool unwatched(const struct groups *s, const struct account *a)
{
	return !a->chosen && (s->levels.must_poll || !alarm_on_use(&a->g->alarm));
}

static void release_idle(struct snapshot *snap, const struct account *a)
{
	size_t i;

	snapshot_select(snap, a);
	for (i = 0; i < snap->shares.nselected; i++) {
		struct watched_arena *m = snap->arenas[snap->shares.selected[i]];
		uint64_t needs = snap->shares.arenas[snap->shares.selected[i]].live_bytes;

		watched_arena_set_idle(m);
		if (m->gave_back || a->used_bytes <= a->soft_bytes / 2 ||
		    sub_sat(m->resident_bytes, needs) <= m->resident_bytes / IDLE_RELEASE_PARTS)
			continue;
		registry_order(m->r, ORDER_FREE, 0);
		m->gave_back = true;
	}
}

bool idle_begin(const struct groups *s, struct snapshot *snap, unsigned int ticks)
{
	bool sleepy = ticks >= TICKS_IDLE;
	size_t i;

	for (i = 0; i < snap->naccounts; i++) {
		if (!unwatched(s, &snap->accounts[i]))
			continue;
		sleepy = ticks >= TICKS_IDLE_UNWATCHED;
		if (sleepy)
			release_idle(snap, &snap->accounts[i]);
	}
	return sleepy;
}

bool idle_poll_limits(const struct groups *s, struct limit_group *top)
{
	bool active = false;
	struct tri_ctl ctl;
	struct watched_arena *m;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top) || !watched_arena_read_counters(m, &ctl))
			continue;
		m->allocated_bytes = tri_read(&ctl.allocated_bytes);
		m->idle = false;
		active = true;
	}
	if (active)
		return true;
	for (m = s->arenas; m; m = m->next)
		if (groups_in(m, top))
			watched_arena_set_idle(m);
	return false;
}
