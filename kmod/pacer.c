// SPDX-License-Identifier: GPL-2.0-only
/*
 * pacer.c - the collector's state as it publishes it, and what it is asked to do
 *
 * Both are copies of numbers, kept under a spinlock so that a reader gets those of one moment.
 */
#include <linux/limits.h>

#include "internal.h"
#include "trace.h"

#define EVENTS (TRICOLOR_EVENT_PHASE | TRICOLOR_EVENT_PACER | TRICOLOR_EVENT_LIMIT | \
		TRICOLOR_EVENT_LIMITER)

void tricolor_pacer_init(struct tricolor_arena *arena)
{
	spin_lock_init(&arena->pacer_lock);
	arena->pacer.gc_percent = 100;
	arena->pacer.memory_limit_bytes = S64_MAX;
	arena->pacer.budget_bytes = U64_MAX;
	arena->tunables.gc_percent = 100;
	arena->tunables.memory_limit_bytes = S64_MAX;
}

int tricolor_publish(struct tricolor_arena *arena, const struct tricolor_pacer *args)
{
	if (args->flags || args->reserved || args->events & ~EVENTS ||
	    args->phase > TRICOLOR_PHASE_SWEEP || args->limiter > 1 || args->gc_percent < -1 ||
	    args->memory_limit_bytes < 0)
		return -EINVAL;
	spin_lock(&arena->pacer_lock);
	arena->pacer = *args;
	spin_unlock(&arena->pacer_lock);
	if (args->events & TRICOLOR_EVENT_PHASE)
		trace_tricolor_phase(arena, args);
	if (args->events & TRICOLOR_EVENT_PACER)
		trace_tricolor_pacer(arena, args);
	if (args->events & TRICOLOR_EVENT_LIMIT)
		trace_tricolor_limit(arena, args);
	if (args->events & TRICOLOR_EVENT_LIMITER)
		trace_tricolor_limiter(arena, args);
	return 0;
}

void tricolor_pacer_read(struct tricolor_arena *arena, struct tricolor_pacer *pacer)
{
	spin_lock(&arena->pacer_lock);
	*pacer = arena->pacer;
	spin_unlock(&arena->pacer_lock);
}

/* @since: sequence that the reader has seen.  Does not write @tunables->size. */
void tricolor_tunables_read(struct tricolor_arena *arena, struct tricolor_tunables *tunables,
			    u64 since)
{
	u32 size = tunables->size;

	spin_lock(&arena->pacer_lock);
	*tunables = arena->tunables;
	tunables->changed =
		(arena->gc_percent_sequence > since ? TRICOLOR_TUNABLE_GC_PERCENT : 0) |
		(arena->memory_limit_sequence > since ? TRICOLOR_TUNABLE_MEMORY_LIMIT : 0);
	spin_unlock(&arena->pacer_lock);
	tunables->size = size;
}

/** tricolor_tunables_set - ask the collector for another setting; @set: TRICOLOR_TUNABLE_* */
int tricolor_tunables_set(struct tricolor_arena *arena, u32 set, s32 gc_percent, s64 limit_bytes)
{
	if ((set & TRICOLOR_TUNABLE_GC_PERCENT && gc_percent < -1) ||
	    (set & TRICOLOR_TUNABLE_MEMORY_LIMIT && limit_bytes < 0))
		return -EINVAL;
	if (tricolor_is_orphan(arena))
		return -ESHUTDOWN;
	spin_lock(&arena->pacer_lock);
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
	spin_unlock(&arena->pacer_lock);
	wake_up_all(&arena->wait);
	trace_tricolor_tunables(arena, set, gc_percent, limit_bytes);
	tricolor_netlink_event(arena, TRICOLOR_CMD_TUNABLES);
	return 0;
}
