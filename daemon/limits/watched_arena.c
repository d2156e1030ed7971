// SPDX-License-Identifier: GPL-2.0-only
/* watched_arena.c - reading an arena from outside, and giving it orders: see watched_arena.h */
#include "watched_arena.h"

#include <string.h>
#include <unistd.h>

#include "daemon/clients/registry.h"
#include "daemon/heap/backing.h"
#include "daemon/heap/pacer.h"
#include "tricolor.h"

#define WAKE_AFTER_BYTES (1ull << 20)	/* allocation after which an idle arena wakes the watcher */

bool watched_arena_read_counters(const struct watched_arena *m, struct tri_ctl *ctl)
{
	int fd = atomic_load(&m->r->file);

	if (fd < 0 || pread(fd, ctl, sizeof(*ctl), 0) != sizeof(*ctl))
		memset(ctl, 0, sizeof(*ctl));
	return tri_read(&ctl->allocated_bytes) != m->allocated_bytes;
}

bool watched_arena_has_allocated(const struct watched_arena *m)
{
	struct tri_ctl ctl;

	return watched_arena_read_counters(m, &ctl);
}

void watched_arena_read(struct watched_arena *m, struct budget_arena *b, uint64_t now)
{
	struct board_figures f;
	struct tri_ctl ctl;
	uint64_t allocated;

	registry_read(m->r, &f);
	m->active = watched_arena_read_counters(m, &ctl);
	m->idle &= !m->active;
	m->gave_back &= !m->active;
	m->active |= f.cycles != m->cycles;
	allocated = tri_read(&ctl.allocated_bytes);
	m->exempt = tri_read(&ctl.memory_limit_bytes) != TRI_LIMIT_AUTO;
	m->in_force_bytes = f.limit_bytes < 0 ? 0 : (uint64_t)f.limit_bytes;
	m->resident_bytes = backing_resident_bytes(atomic_load(&m->r->file),
						   f.heap_bytes + f.free_bytes);
	budget_note_allocation(&m->pace, allocated > m->allocated_bytes ?
			       allocated - m->allocated_bytes : 0, now - m->read_ns);
	if (f.cycles > m->cycles)
		budget_note_cycle(&m->pace, f.live_bytes, f.cycle_cpu_ns);
	m->allocated_bytes = allocated;
	m->reached_bytes = f.reached_bytes;
	m->cycles = f.cycles;
	m->read_ns = now;
	b->live_bytes = f.live_bytes + f.overhead_bytes;
	/* Before its first cycles all that a heap has filled may be alive. */
	b->bound_bytes = f.cycles < 2 && m->resident_bytes > f.bound_bytes ? m->resident_bytes :
									     f.bound_bytes;
	b->cap_bytes = f.cap_bytes;
	b->weight = budget_weight(&m->pace, f.live_bytes);
}

void watched_arena_order_share(struct watched_arena *m, uint64_t bytes)
{
	m->share_bytes = bytes;
	registry_order(m->r, ORDER_SHARE, bytes > INT64_MAX ? PACER_NO_LIMIT : (int64_t)bytes);
}

void watched_arena_order_pressure(struct watched_arena *m, uint32_t pressure)
{
	if (m->pressure == pressure)
		return;
	m->pressure = pressure;
	registry_order(m->r, ORDER_PRESSURE, pressure);
}

void watched_arena_set_idle(struct watched_arena *m)
{
	if (!m->idle)
		registry_order(m->r, ORDER_WAKE_AFTER, WAKE_AFTER_BYTES);
	m->idle = true;
}
