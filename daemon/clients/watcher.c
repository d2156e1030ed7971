// SPDX-License-Identifier: GPL-2.0-only
/* watcher.c - how the threads of arenas reach the watcher: see watcher.h */
#include "watcher.h"

#include <stdatomic.h>
#include <unistd.h>

#include "registry.h"

static int wake_fd = -1;	/* constant once there are threads; -1: there is no watcher */
static _Atomic(bool) asleep;
static _Atomic(bool) paused;
static _Atomic(uint32_t) pauses;	/* the number that have begun */

void watcher_notify(void)
{
	uint64_t one = 1;

	/* It fails only if the counter is full, and then the descriptor is readable. */
	if (wake_fd >= 0 && write(wake_fd, &one, sizeof(one)) < 0)
		return;
}

void watcher_wake(void)
{
	/* pairs with fall_asleep() of watch.c */
	if (atomic_load(&asleep) && atomic_exchange(&asleep, false))
		watcher_notify();
}

void watcher_pause(bool pause)
{
	/* It is counted first, as a pause that is over before the watcher sees it counts, too. */
	if (pause && !atomic_load(&paused))
		atomic_fetch_add(&pauses, 1);
	if (atomic_exchange(&paused, pause) != pause)
		watcher_notify();
}

int watcher_open(void)
{
	wake_fd = registry_watch();
	return wake_fd;
}

void watcher_set_asleep(bool sleeps)
{
	atomic_store(&asleep, sleeps);
}

bool watcher_is_paused(void)
{
	return atomic_load(&paused);
}

uint32_t watcher_pauses(void)
{
	return atomic_load(&pauses);
}
