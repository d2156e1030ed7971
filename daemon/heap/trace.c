// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace.c - lines for the client's standard error
 *
 * The format is documented in tricolor(7).  The daemon does not have the client's descriptors, so
 * it sends the line, and the agent writes it.
 */
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>

#include "arena.h"
#include "channel.h"
#include "core/system/clock.h"

void trace_line(struct arena *a, const char *fmt, ...)
{
	struct tri_msg msg = { .type = TRI_MSG_TRACE, .version = TRI_PROTO_ID };
	va_list args;

	va_start(args, fmt);
	vsnprintf(msg.text, sizeof(msg.text), fmt, args);
	va_end(args);
	/* A client that does not read its messages loses them. */
	channel_send(a, &msg);
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

void trace_pacer(struct arena *a)
{
	const struct pacer *p = &a->pacer;
	uint64_t goal = pacer_goal_bytes(p), trigger = pacer_trigger_bytes(p);

	trace_line(
		a,
		"tricolor %d pacer %u: %.1f MiB live, trigger %.1f, goal %.1f (by %s), runway "
		"%.1f, cons/mark %.3f, overhead %.1f, assisted %.2f bytes a byte",
		a->client.shown_pid, a->cycle, mib(p->marked_bytes),
		trigger == PACER_NEVER ? -1 : mib(trigger), goal == PACER_NEVER ? -1 : mib(goal),
		pacer_limited(p, p->config.memory_limit_bytes) ? "limit" : "GOGC",
		mib(p->runway_bytes), p->cons_mark, mib(pacer_overhead_bytes(p)), p->assist_ratio);
}

void trace_scavenger(struct arena *a)
{
	const struct tri_ctl *ctl = a->view.ctl;

	trace_line(
		a,
		"tricolor %d scav %u: %.1f MiB in spans, %.1f free with memory, %.1f released so "
		"far, %.1f resident",
		a->client.shown_pid, a->cycle, mib(arena_used_bytes(a)),
		mib(tri_read(&ctl->free_backed_bytes)), mib(tri_read(&ctl->released_bytes)),
		mib(arena_resident_bytes(a)));
}

void trace_cycle(struct arena *a, bool forced)
{
	const struct cycle_figures *f = &a->now;
	uint64_t since = clock_ns() - a->client.attached_ns;

	trace_line(
		a,
		"tricolor %d gc %u @%.3fs %.0f%%: %.2f+%.2f+%.2f+%.2f ms wall, "
		"%.2f+%.2f+%.2f+%.2f ms cpu, max %.0f us tot %.0f us (%u) interrupted, "
		"%.1f->%.1f->%.1f MiB, %.1f MiB goal, %.0f KiB roots, %u workers, %llu objects%s",
		a->client.shown_pid, a->cycle, (double)since / 1e9,
		since ? 100.0 * (double)a->totals.gc_cpu_ns / (double)since : 0.0,
		ms(f->wall_ns[PHASE_BARRIER]), ms(f->wall_ns[PHASE_MARK]),
		ms(f->wall_ns[PHASE_TERMINATION]), ms(f->wall_ns[PHASE_SWEEP]),
		ms(f->cpu_ns[PHASE_BARRIER]), ms(f->cpu_ns[PHASE_MARK]),
		ms(f->cpu_ns[PHASE_TERMINATION]), ms(f->cpu_ns[PHASE_SWEEP]),
		(double)f->interrupted_max_ns / 1e3, (double)f->interrupted_total_ns / 1e3,
		f->interruptions, mib(f->start_bytes), mib(f->end_bytes), mib(f->live_bytes),
		mib(f->goal_bytes), (double)f->root_bytes / 1024, f->workers,
		(unsigned long long)f->objects, forced ? " (forced)" : "");
}
