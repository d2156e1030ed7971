/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limiter.c - Go's GC CPU limiter, for one arena
 *
 * For each span of time between two updates:
 *
 *	total     = time · CPUs
 *	collector = what was reported: marking and assists
 *	program   = total − idle − collector, at least 0
 *	bucket   += collector − program, within 0 … capacity · 1.01
 *
 * Idle time is taken from the program's side only.  Otherwise a program that wants one CPU of eight
 * would seem to have all eight, and a collector that takes more than the program would go
 * unnoticed.
 *
 * Go counts background marking as the 25 % that it aims for.  Here the arena's thread reports the
 * CPU time that it took, because it takes a whole CPU and not a quarter of all.
 *
 * Go has no hundredth above the capacity.  The program learns up to one period late whether to
 * assist.  What it does for the collector in those 10 ms is owed and not forgiven.  Otherwise a
 * heap far above its limit would be collected in every other period, and take 62 % of the CPU
 * instead of 50 %.
 */
#include <assert.h>
#include <string.h>

#include "core/system/saturate.h"
#include "limiter.h"

#define CPU_NS_PER_CPU_MILLI	(1000ull * 1000)	/* a second of CPU time for a whole CPU */

/* The capacity is a second of all CPUs; a hundredth of it is one LIMITER_PERIOD_NS. */
static uint64_t brim_cpu_ns(const struct limiter *l)
{
	return l->capacity_cpu_ns + l->capacity_cpu_ns / 100;
}

/* CPU time that the program could have had since the last update. */
static uint64_t window_cpu_ns(const struct limiter *l, uint64_t now_ns)
{
	unsigned __int128 total = (unsigned __int128)sub_sat(now_ns, l->updated_ns) *
				  l->cpu_milli / 1000;

	return total > UINT64_MAX ? UINT64_MAX : (uint64_t)total;
}

static void pour(struct limiter *l, uint64_t collector_cpu_ns, uint64_t program_cpu_ns)
{
	uint64_t room = brim_cpu_ns(l) - l->fill_cpu_ns;
	bool was_limiting = limiter_limiting(l);
	uint64_t more;

	assert(l->fill_cpu_ns <= brim_cpu_ns(l));
	if (collector_cpu_ns <= program_cpu_ns) {
		l->fill_cpu_ns = sub_sat(l->fill_cpu_ns, program_cpu_ns - collector_cpu_ns);
		return;
	}
	more = collector_cpu_ns - program_cpu_ns;
	if (more > room) {
		l->overflow_cpu_ns = add_sat(l->overflow_cpu_ns, more - room);
		more = room;
	}
	l->fill_cpu_ns += more;
	l->engaged += limiter_limiting(l) && !was_limiting;
}

void limiter_update(struct limiter *l, uint64_t now_ns)
{
	uint64_t total = window_cpu_ns(l, now_ns);
	uint64_t collector = l->assist_cpu_ns;

	if (now_ns < l->updated_ns)	/* the clock went back: what was reported counts later */
		return;
	pour(l, collector, sub_sat(sub_sat(total, l->idle_cpu_ns), collector));
	l->assist_cpu_ns = 0;
	l->idle_cpu_ns = 0;
	l->updated_ns = now_ns;
}

void limiter_add_assist(struct limiter *l, uint64_t cpu_ns)
{
	l->assist_cpu_ns = add_sat(l->assist_cpu_ns, cpu_ns);
}

void limiter_add_idle(struct limiter *l, uint64_t cpu_ns)
{
	l->idle_cpu_ns = add_sat(l->idle_cpu_ns, cpu_ns);
}

void limiter_set_cpus(struct limiter *l, uint32_t cpu_milli, uint64_t now_ns)
{
	bool was_limiting;

	limiter_update(l, now_ns);
	was_limiting = limiter_limiting(l);
	l->cpu_milli = cpu_milli ? cpu_milli : 1;
	l->capacity_cpu_ns = l->cpu_milli * CPU_NS_PER_CPU_MILLI;
	if (l->fill_cpu_ns > brim_cpu_ns(l))
		l->fill_cpu_ns = brim_cpu_ns(l);
	l->engaged += limiter_limiting(l) && !was_limiting;
}

void limiter_init(struct limiter *l, uint32_t cpu_milli, uint64_t now_ns)
{
	memset(l, 0, sizeof(*l));
	l->updated_ns = now_ns;
	limiter_set_cpus(l, cpu_milli, now_ns);
}

bool limiter_stale(const struct limiter *l, uint64_t now_ns)
{
	return sub_sat(now_ns, l->updated_ns) > LIMITER_PERIOD_NS;
}

bool limiter_limiting(const struct limiter *l)
{
	return l->fill_cpu_ns >= l->capacity_cpu_ns;
}
