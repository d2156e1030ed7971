// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch.c - the thread that knows what memory there is, and splits it among arenas
 *
 *  1. Clients share the limits of the control groups that they are in: groups.c knows which these
 *     are.  A *tick* (tick.c) of a tree of groups looks at its arenas and splits what there is.
 *
 *  2. Ticks come by the clock while any arena of a limited group is at work: often if parts are
 *     still moving, seldom if not.  When nobody is at work the watcher sleeps without a timer:
 *     shares are reserved, so what an arena does within its share concerns nobody.  It is woken by
 *     an arena that starts a cycle, by clients that come and go, and by the kernel (alarm.c), if a
 *     limit is written or memory is getting short.
 *
 * Nobody waits for the watcher.  It holds no lock but the registry's, for moments.  What arenas say
 * is not believed beyond budget.c, where any figure is harmless: an arena can claim a larger part,
 * as it could by allocating, but no more than leaves the others their floors.
 */
#include "watch.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarm.h"
#include "clock.h"
#include "groups.h"
#include "log.h"
#include "registry.h"
#include "tick.h"

#define STACK_BYTES (256u << 10)
#define MS 1000000ull
#define TICK_MIN_NS (10 * MS)		/* no two ticks are nearer, whatever rings */
#define LIMIT_NS (1000 * MS)		/* limits are read again, in case inotify does not work there */

/* All of the watcher's thread but for what is atomic. */
static struct {
	int wake_fd;
	struct groups groups;
	_Atomic(bool) asleep;
	_Atomic(uint64_t) total_bytes;
} watch = { .wake_fd = -1, .groups.limits_fd = -1 };

void watch_wake(void)
{
	uint64_t one = 1;

	/* pairs with fall_asleep() */
	if (atomic_load(&watch.asleep) && atomic_exchange(&watch.asleep, false) &&
	    write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

void watch_hurry(void)
{
	uint64_t one = 1;

	if (watch.wake_fd >= 0 && write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

void watch_set_total(uint64_t total_bytes)
{
	uint64_t one = 1;

	atomic_store(&watch.total_bytes, total_bytes);
	if (watch.wake_fd >= 0 && write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

/*
 * Get ready to sleep until somebody rings, if no tick is due.  An arena's thread that starts a
 * cycle reads `asleep` after its client has counted what made the cycle due: either it sees that
 * we sleep, and rings, or we see the counter.
 */
static void fall_asleep(void)
{
	uint64_t total = atomic_load(&watch.total_bytes);
	struct member *m;
	struct group *g;
	bool any = false;

	for (g = watch.groups.groups; g; g = g->next) {
		if (!g->up && g->next_ns != UINT64_MAX)
			return;
		any |= tick_limited(g, total);
	}
	/* Cycles are nothing to us. */
	if (!any)
		return;
	/* pairs with watch_wake() */
	atomic_store(&watch.asleep, true);
	for (m = watch.groups.members; m; m = m->next) {
		g = groups_of(m);
		if (!g || !tick_limited(g, total) || !tick_has_allocated(m))
			continue;
		groups_tick_soon(g);
		atomic_store(&watch.asleep, false);
		return;
	}
}

static int next_timeout(uint64_t now)
{
	uint64_t due = groups_tidy_ns(&watch.groups);
	struct group *g;

	for (g = watch.groups.groups; g; g = g->next)
		if (!g->up && g->next_ns < due)
			due = g->next_ns;
	if (due == UINT64_MAX)
		return -1;
	return due <= now ? 0 : (int)((due - now + MS - 1) / MS);
}

/* Wait, and note who has rung.  Returns whether a limit may have changed. */
static bool wait_for_news(void)
{
	int limits_fd = watch.groups.limits_fd;
	struct pollfd *p;
	struct group *g;
	size_t n = 2;
	uint64_t times;
	bool limits;

	for (g = watch.groups.groups; g; g = g->next)
		n += ALARM_FDS;
	p = calloc(n, sizeof(*p));
	if (!p) {
		poll(NULL, 0, 100);
		return true;
	}
	p[0] = (struct pollfd){ .fd = watch.wake_fd, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = limits_fd, .events = POLLIN };
	for (g = watch.groups.groups, n = 2; g; g = g->next, n += ALARM_FDS)
		alarm_poll(&g->alarm, &p[n]);
	fall_asleep();
	if (poll(p, n, next_timeout(clock_ns())) < 0)
		memset(p, 0, n * sizeof(*p));
	atomic_store(&watch.asleep, false);
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
			g->rang = true;
			groups_tick_soon(g);
		}
	}
	free(p);
	return limits;
}

static void tick_due(uint64_t now)
{
	struct group *g;

	for (g = watch.groups.groups; g; g = g->next) {
		if (g->up || g->next_ns > now)
			continue;
		if (g->next_ns || now - g->ticked_ns >= TICK_MIN_NS)
			tick(&watch.groups, g, atomic_load(&watch.total_bytes), now);
		else
			g->next_ns = g->ticked_ns + TICK_MIN_NS;
	}
}

static void *watcher(void *unused)
{
	uint64_t limits_ns = 0;

	(void)unused;
	for (;;) {
		bool limits = wait_for_news();
		uint64_t now = clock_ns();

		groups_meet(&watch.groups, now);
		if (limits || now - limits_ns >= LIMIT_NS) {
			limits_ns = now;
			groups_read_limits(&watch.groups);
		}
		groups_tidy(&watch.groups, now);
		tick_due(now);
	}
	return NULL;
}

void watch_start(uint64_t total_bytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	atomic_store(&watch.total_bytes, total_bytes);
	watch.wake_fd = registry_watch();
	watch.groups.limits_fd = alarm_limits_open();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = watch.wake_fd < 0 ? -watch.wake_fd : pthread_create(&thread, &attr, watcher, NULL);
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(thread, "tricolord-watch");
	else
		log_line("memory limits of containers are not kept: no thread to watch them: %s",
			 strerror(err));
}
