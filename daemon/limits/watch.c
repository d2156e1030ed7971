// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch.c - the thread that knows the memory limits and splits them among arenas
 *
 *  1. Clients share the limits of the control groups that they are in; groups.c knows which these
 *     are.  A *tick* (tick.c) of a tree of groups reads its arenas and splits the memory that there
 *     is.
 *
 *  2. While any arena of a limited group is at work, ticks come by the clock: often if shares still
 *     change, seldom if they do not.  When no arena is at work the watcher sleeps without a timer.
 *     Shares are reserved, so what an arena does within its share concerns nobody else.  The
 *     watcher is woken by an arena that starts a cycle, by clients that come and go, and by the
 *     kernel (alarm.c) when a limit is written or memory is getting short.
 *
 * Nobody waits for the watcher.  The locks that it takes (registry, election, log) are held for
 * moments.  What arenas say is trusted only as far as budget.c, which any figure leaves unharmed:
 * an arena can claim a larger part, as it could by allocating, but never so much that the others
 * have less than their floors.
 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alarm.h"
#include "core/system/clock.h"
#include "daemon/process/config.h"
#include "daemon/clients/election.h"
#include "groups.h"
#include "other_collectors.h"
#include "daemon/process/log.h"
#include "daemon/clients/registry.h"
#include "daemon/clients/watcher.h"
#include "daemon/process/thread_start.h"
#include "tick.h"

#define STACK_BYTES (256u << 10)
#define MS 1000000ull
#define TICK_MIN_NS (10 * MS)		/* the least time between two ticks of a tree */
/*
 * Limits are read again after LIMIT_NS, in case inotify does not work there.  Where it is known not
 * to work, they are read whenever the watcher is awake.
 */
#define LIMIT_NS (1000 * MS)

/* All of the watcher's thread but for what is atomic. */
static struct {
	int wake_fd;
	struct groups groups;
	uint32_t pauses_seen;		/* of watcher_pauses() */
	_Atomic(uint64_t) total_bytes;
} watch = { .wake_fd = -1, .groups.levels.limits_fd = -1 };

void watch_set_total(uint64_t total_bytes)
{
	atomic_store(&watch.total_bytes, total_bytes);
	watcher_notify();
}

/*
 * Say whether arenas are to wake the watcher: to the threads of this process, and on the boards of
 * arenas that other processes mark.
 */
static void set_asleep(bool asleep)
{
	struct watched_arena *m;

	watcher_set_asleep(asleep);
	for (m = watch.groups.arenas; m; m = m->next)
		registry_asleep(m->r, asleep);
}

/*
 * Get ready to sleep without a timer, if no tick is due.  An arena's thread that starts a cycle
 * reads `asleep` after its client has counted what made the cycle due.  So either it sees that we
 * sleep, and wakes us, or we see the counter.
 */
static void fall_asleep(void)
{
	uint64_t total = atomic_load(&watch.total_bytes);
	struct watched_arena *m;
	struct limit_group *g;
	bool any = false;

	for (g = watch.groups.groups; g; g = g->next) {
		if (!g->up && g->next_ns != UINT64_MAX)
			return;
		any |= tick_limited(g, total) || tick_must_poll(&watch.groups, g);
	}
	/* Where there is no limit, and none is looked for, no arena has to wake the watcher. */
	if (!any)
		return;
	/* pairs with watcher_wake(), and in other processes with linked_wake() */
	set_asleep(true);
	for (m = watch.groups.arenas; m; m = m->next) {
		g = groups_of(m);
		if (!g || (!tick_limited(g, total) && !tick_must_poll(&watch.groups, g)) ||
		    !watched_arena_has_allocated(m))
			continue;
		groups_tick_soon(g);
		set_asleep(false);
		return;
	}
}

static int next_timeout(uint64_t now)
{
	uint64_t due = groups_tidy_ns(&watch.groups);
	struct limit_group *g;

	for (g = watch.groups.groups; g; g = g->next)
		if (!g->up && g->next_ns < due)
			due = g->next_ns;
	if (due == UINT64_MAX)
		return -1;
	return due <= now ? 0 : (int)((due - now + MS - 1) / MS);
}

/* There is no memory to wait by poll(), or that fails: wait for some time instead. */
static void nap(void)
{
	struct timespec ts = { 0, 100 * MS };

	nanosleep(&ts, NULL);
}

/* Wait for an event, and note what it is.  Returns whether a limit may have changed. */
static bool wait_for_news(void)
{
	int limits_fd = watch.groups.levels.limits_fd;
	struct pollfd *p;
	struct limit_group *g;
	size_t n = 2;
	uint64_t times;
	bool limits;

	for (g = watch.groups.groups; g; g = g->next)
		n += ALARM_FDS;
	p = calloc(n, sizeof(*p));
	if (!p) {
		nap();
		return true;
	}
	p[0] = (struct pollfd){ .fd = watch.wake_fd, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = limits_fd, .events = POLLIN };
	for (g = watch.groups.groups, n = 2; g; g = g->next, n += ALARM_FDS)
		alarm_poll(&g->alarm, &p[n]);
	fall_asleep();
	if (poll(p, n, next_timeout(clock_ns())) < 0) {
		if (errno != EINTR)
			nap();
		memset(p, 0, n * sizeof(*p));
	}
	set_asleep(false);
	limits = p[1].revents != 0;
	if (limits)
		alarm_limits_drain(limits_fd);
	if (p[0].revents && read(watch.wake_fd, &times, sizeof(times)) > 0) {
		for (g = watch.groups.groups; g; g = g->next) {
			g->next_ns = 0;
			g->idle_ticks = 0;
		}
	}
	for (g = watch.groups.groups, n = 2; g; g = g->next, n += ALARM_FDS) {
		if (alarm_rang(&g->alarm, &p[n])) {
			g->alarmed = true;
			groups_tick_soon(g);
		}
	}
	free(p);
	return limits;
}

static void tick_due(uint64_t now)
{
	struct limit_group *g;

	for (g = watch.groups.groups; g; g = g->next) {
		if (g->up || g->next_ns > now)
			continue;
		if (g->next_ns || now - g->ticked_ns >= TICK_MIN_NS)
			tick(&watch.groups, g, atomic_load(&watch.total_bytes), now);
		else
			g->next_ns = g->ticked_ns + TICK_MIN_NS;
	}
}

/* Wait until the policy of another process is gone.  Then all is ordered anew. */
static void wait_out_pause(void)
{
	struct pollfd p = { .fd = watch.wake_fd, .events = POLLIN };
	struct watched_arena *m;
	struct limit_group *g;
	uint64_t times;

	watch.pauses_seen = watcher_pauses();
	while (watcher_is_paused()) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			nap();
		if (p.revents && read(watch.wake_fd, &times, sizeof(times)) < 0)
			continue;
	}
	for (m = watch.groups.arenas; m; m = m->next)
		groups_order_anew(m);
	collectors_recount(&watch.groups);
	for (g = watch.groups.groups; g; g = g->next)
		groups_tick_soon(g);
}

/*
 * Say which group limits a private collector's own client.  The collectors of that group may have
 * one policy.
 */
static void note_group(void)
{
	const struct watched_arena *m = watch.groups.arenas;
	const struct limit_group *g;

	while (m && registry_is_linked(m->r))
		m = m->next;
	g = m ? groups_of(m) : NULL;
	if (g && g->level && g->limit_bytes != TRI_CGROUP_NONE)
		election_group(g->level->dev, g->level->ino);
	else
		election_group(0, 0);
}

static void *watcher(void *unused)
{
	uint64_t limits_ns = 0;

	(void)unused;
	for (;;) {
		bool limits = wait_for_news();
		uint64_t now;

		if (watcher_pauses() != watch.pauses_seen)
			wait_out_pause();
		now = clock_ns();
		groups_update(&watch.groups, now);
		if (limits || watch.groups.levels.must_poll || now - limits_ns >= LIMIT_NS) {
			limits_ns = now;
			groups_read_limits(&watch.groups);
		}
		groups_tidy(&watch.groups, now);
		if (config_elects())
			note_group();
		tick_due(now);
	}
	return NULL;
}

void watch_start(uint64_t total_bytes)
{
	int err;

	atomic_store(&watch.total_bytes, total_bytes);
	watch.wake_fd = watcher_open();
	watch.groups.levels.limits_fd = alarm_limits_open();
	err = watch.wake_fd < 0 ? -watch.wake_fd :
				  thread_start(watcher, NULL, STACK_BYTES, "tricolord-watch");
	if (err)
		log_line("memory limits of containers are not kept: no thread to watch them: %s",
			 strerror(err));
}
