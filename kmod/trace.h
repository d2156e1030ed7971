/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - tracepoints tricolor:*
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tricolor

#if !defined(TRICOLOR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TRICOLOR_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

TRACE_DEFINE_ENUM(TRICOLOR_PHASE_OFF);
TRACE_DEFINE_ENUM(TRICOLOR_PHASE_BARRIER);
TRACE_DEFINE_ENUM(TRICOLOR_PHASE_MARK);
TRACE_DEFINE_ENUM(TRICOLOR_PHASE_TERMINATION);
TRACE_DEFINE_ENUM(TRICOLOR_PHASE_SWEEP);

#define show_phase(phase) __print_symbolic(phase, \
	{ TRICOLOR_PHASE_OFF, "off" }, \
	{ TRICOLOR_PHASE_BARRIER, "barrier" }, \
	{ TRICOLOR_PHASE_MARK, "mark" }, \
	{ TRICOLOR_PHASE_TERMINATION, "termination" }, \
	{ TRICOLOR_PHASE_SWEEP, "sweep" })

/* An arena's life: it is made; its owner is gone and its memory freed; it is gone. */
DECLARE_EVENT_CLASS(tricolor_arena,
	TP_PROTO(const struct tricolor_arena *arena),
	TP_ARGS(arena),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, flags)
		__field(u64, bytes)
		__field(pid_t, owner)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->flags = arena->create_flags;
		__entry->bytes = arena->bytes;
		__entry->owner = pid_nr(arena->owner_pid);
	),
	TP_printk("arena=%u owner=%d bytes=%llu flags=%#x", __entry->id, __entry->owner,
		  __entry->bytes, __entry->flags)
);

DEFINE_EVENT(tricolor_arena, tricolor_arena_new,
	TP_PROTO(const struct tricolor_arena *arena), TP_ARGS(arena));
DEFINE_EVENT(tricolor_arena, tricolor_arena_orphan,
	TP_PROTO(const struct tricolor_arena *arena), TP_ARGS(arena));
DEFINE_EVENT(tricolor_arena, tricolor_arena_gone,
	TP_PROTO(const struct tricolor_arena *arena), TP_ARGS(arena));

/* One call: the ranges that it has done, and the bytes that it has freed. */
TRACE_EVENT(tricolor_reclaim,
	TP_PROTO(const struct tricolor_arena *arena, u32 ranges, u64 bytes),
	TP_ARGS(arena, ranges, bytes),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, ranges)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->ranges = ranges;
		__entry->bytes = bytes;
	),
	TP_printk("arena=%u ranges=%u bytes=%llu", __entry->id, __entry->ranges, __entry->bytes)
);

TRACE_EVENT(tricolor_dirty,
	TP_PROTO(const struct tricolor_arena *arena, u32 flags, u64 bytes, u64 pages),
	TP_ARGS(arena, flags, bytes, pages),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, flags)
		__field(u64, bytes)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->flags = flags;
		__entry->bytes = bytes;
		__entry->pages = pages;
	),
	TP_printk("arena=%u op=%s bytes=%llu dirty_pages=%llu", __entry->id,
		  __entry->flags & TRICOLOR_DIRTY_START ? "start" :
		  __entry->flags & TRICOLOR_DIRTY_STOP ? "stop" : "collect",
		  __entry->bytes, __entry->pages)
);

/* The collector publishes what follows. */
TRACE_EVENT(tricolor_phase,
	TP_PROTO(const struct tricolor_arena *arena, const struct tricolor_pacer *p),
	TP_ARGS(arena, p),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, phase)
		__field(u64, cycles)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->phase = p->phase;
		__entry->cycles = p->cycles;
	),
	TP_printk("arena=%u phase=%s cycles=%llu", __entry->id, show_phase(__entry->phase),
		  __entry->cycles)
);

TRACE_EVENT(tricolor_pacer,
	TP_PROTO(const struct tricolor_arena *arena, const struct tricolor_pacer *p),
	TP_ARGS(arena, p),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u64, cycles)
		__field(u64, goal)
		__field(u64, trigger)
		__field(u64, live)
		__field(u64, mark_cpu_ns)
		__field(u64, interrupted_max_ns)
		__field(u32, gc_cpu_ppm)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->cycles = p->cycles;
		__entry->goal = p->goal_bytes;
		__entry->trigger = p->trigger_bytes;
		__entry->live = p->live_bytes;
		__entry->mark_cpu_ns = p->mark_cpu_ns;
		__entry->interrupted_max_ns = p->interrupted_max_ns;
		__entry->gc_cpu_ppm = p->gc_cpu_ppm;
	),
	TP_printk("arena=%u cycles=%llu goal_bytes=%llu trigger_bytes=%llu live_bytes=%llu "
		  "mark_cpu_ns=%llu interrupted_max_ns=%llu gc_cpu_ppm=%u",
		  __entry->id, __entry->cycles, __entry->goal, __entry->trigger, __entry->live,
		  __entry->mark_cpu_ns, __entry->interrupted_max_ns, __entry->gc_cpu_ppm)
);

TRACE_EVENT(tricolor_limit,
	TP_PROTO(const struct tricolor_arena *arena, const struct tricolor_pacer *p),
	TP_ARGS(arena, p),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(s64, limit)
		__field(u64, budget)
		__field(s32, gc_percent)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->limit = p->memory_limit_bytes;
		__entry->budget = p->budget_bytes;
		__entry->gc_percent = p->gc_percent;
	),
	TP_printk("arena=%u memory_limit_bytes=%lld budget_bytes=%llu gc_percent=%d", __entry->id,
		  __entry->limit, __entry->budget, __entry->gc_percent)
);

TRACE_EVENT(tricolor_limiter,
	TP_PROTO(const struct tricolor_arena *arena, const struct tricolor_pacer *p),
	TP_ARGS(arena, p),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, on)
		__field(u32, gc_cpu_ppm)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->on = p->limiter;
		__entry->gc_cpu_ppm = p->gc_cpu_ppm;
	),
	TP_printk("arena=%u on=%u gc_cpu_ppm=%u", __entry->id, __entry->on, __entry->gc_cpu_ppm)
);

/* Somebody asks for other settings; those that are not in @set are of no meaning. */
TRACE_EVENT(tricolor_tunables,
	TP_PROTO(const struct tricolor_arena *arena, u32 set, s32 gc_percent, s64 limit),
	TP_ARGS(arena, set, gc_percent, limit),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, set)
		__field(s32, gc_percent)
		__field(s64, limit)
	),
	TP_fast_assign(
		__entry->id = arena->id;
		__entry->set = set;
		__entry->gc_percent = gc_percent;
		__entry->limit = limit;
	),
	TP_printk("arena=%u set=%#x gc_percent=%d memory_limit_bytes=%lld", __entry->id,
		  __entry->set, __entry->gc_percent, __entry->limit)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
