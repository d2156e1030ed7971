// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish.c - the figures that an arena's collector publishes
 *
 * They are copied under a spinlock, so that a reader gets those of one moment.
 */
#include <linux/limits.h>

#include "internal.h"
#include "trace.h"

#define EVENTS (TRICOLOR_EVENT_PHASE | TRICOLOR_EVENT_PACER | TRICOLOR_EVENT_LIMIT | \
		TRICOLOR_EVENT_LIMITER)

void tricolor_publish_init(struct tricolor_arena *arena)
{
	arena->pacer.gc_percent = 100;
	arena->pacer.memory_limit_bytes = S64_MAX;
	arena->pacer.budget_bytes = U64_MAX;
}

int tricolor_publish(struct tricolor_arena *arena, const struct tricolor_pacer *args)
{
	if (args->flags || args->reserved || args->events & ~EVENTS ||
	    args->phase > TRICOLOR_PHASE_SWEEP || args->limiter > 1 || args->gc_percent < -1 ||
	    args->memory_limit_bytes < 0)
		return -EINVAL;
	spin_lock(&arena->state_lock);
	arena->pacer = *args;
	spin_unlock(&arena->state_lock);
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
	spin_lock(&arena->state_lock);
	*pacer = arena->pacer;
	spin_unlock(&arena->state_lock);
}
