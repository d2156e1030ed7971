// SPDX-License-Identifier: GPL-2.0-only
/*
 * tunables.c - the settings that an arena's collector is asked to follow
 *
 * They come by sysfs and by netlink.  The collector reads them when poll() says that they have
 * changed.  Each change has a number, so that a collector learns which settings are new to it.
 */
#include <linux/limits.h>

#include "internal.h"
#include "trace.h"

void tricolor_tunables_init(struct tricolor_arena *arena)
{
	arena->tunables.gc_percent = 100;
	arena->tunables.memory_limit_bytes = S64_MAX;
}

/**
 * tricolor_tunables_read - copy the settings
 *
 * @since: the newest change that the reader knows.  @tunables->size is left as it is.
 */
void tricolor_tunables_read(struct tricolor_arena *arena, struct tricolor_tunables *tunables,
			    u64 since)
{
	u32 size = tunables->size;

	spin_lock(&arena->state_lock);
	*tunables = arena->tunables;
	tunables->changed =
		(arena->gc_percent_sequence > since ? TRICOLOR_TUNABLE_GC_PERCENT : 0) |
		(arena->memory_limit_sequence > since ? TRICOLOR_TUNABLE_MEMORY_LIMIT : 0);
	spin_unlock(&arena->state_lock);
	tunables->size = size;
}

/**
 * tricolor_tunables_set - ask the collector to follow other settings
 *
 * @set: TRICOLOR_TUNABLE_*, the settings that are meant.
 */
int tricolor_tunables_set(struct tricolor_arena *arena, u32 set, s32 gc_percent, s64 limit_bytes)
{
	if ((set & TRICOLOR_TUNABLE_GC_PERCENT && gc_percent < -1) ||
	    (set & TRICOLOR_TUNABLE_MEMORY_LIMIT && limit_bytes < 0))
		return -EINVAL;
	if (tricolor_is_orphan(arena))
		return -ESHUTDOWN;
	spin_lock(&arena->state_lock);
	arena->tunables.set |= set;
	arena->tunables.sequence++;
	if (set & TRICOLOR_TUNABLE_GC_PERCENT) {
		arena->tunables.gc_percent = gc_percent;
		arena->gc_percent_sequence = arena->tunables.sequence;
	}
	if (set & TRICOLOR_TUNABLE_MEMORY_LIMIT) {
		arena->tunables.memory_limit_bytes = limit_bytes;
		arena->memory_limit_sequence = arena->tunables.sequence;
	}
	spin_unlock(&arena->state_lock);
	wake_up_all(&arena->wait);
	trace_tricolor_tunables(arena, set, gc_percent, limit_bytes);
	tricolor_netlink_event(arena, TRICOLOR_CMD_TUNABLES);
	return 0;
}
