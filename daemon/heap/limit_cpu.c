// SPDX-License-Identifier: GPL-2.0-only
/*
 * limit_cpu.c - the CPU time that an arena's memory limit costs
 *
 * While there is a limit all CPU time goes into a bucket (limiter.c).  On one side is the time of
 * the arena's thread, whatever it does, of helpers, and of the program's threads as far as they
 * worked for the collector.  On the other side is the rest of the program's time, by the CPU clock
 * of its process.  A thread that waits for the collector for a moment spins, and counts as one that
 * works for it.
 *
 * Time that finds no room in the bucket is owed.  Go forgives it, because there the collector's
 * part in the background is 25 % at most.  Our thread takes a whole CPU, and a cycle may take
 * longer than the bucket is deep.
 */
#include "limit_cpu.h"

#include <time.h>

#include "arena.h"
#include "core/system/clock.h"
#include "core/system/saturate.h"
#include "daemon/clients/registry.h"
#include "daemon/process/cpus.h"
#include "pacer.h"

#define SCAN_NS 200000ull		/* a stack's scan counts for no more; most take 5 µs */

/* The CPU time that the program's threads have spent for the collector. */
static uint64_t assist_cpu_ns(const struct tri_ctl *ctl)
{
	uint64_t slept = tri_read(&ctl->assist_slept_ns);

	return sub_sat(tri_read(&ctl->assist_ns), slept);
}

static uint64_t client_cpu_ns(const struct limit *l)
{
	struct timespec ts;

	if (!l->client_seen || clock_gettime(l->client_clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint32_t limit_cpu_milli(const struct arena *a)
{
	double cpus = cpus_online(), quota = a->client.pid > 0 ? cpus_quota(a->client.pid) : 0;

	/* The quota can't be seen from here, but maybe by files that the client has sent. */
	if (quota <= 0)
		quota = claim_cpus(a->registry->claim);
	if (quota > 0 && quota < cpus)
		cpus = quota;
	return (uint32_t)(cpus * 1000);
}

void limit_cpu_start(struct arena *a)
{
	struct limit *l = &a->limit;

	limiter_init(&l->limiter, limit_cpu_milli(a), clock_ns());
	l->quota_ns = clock_ns();
	l->own_cpu_ns = clock_cpu_ns();
	l->assist_ns = assist_cpu_ns(a->view.ctl);
	l->client_cpu_ns = client_cpu_ns(l);
	l->owed_cpu_ns = 0;
	l->unreported_ns = 0;
}

static uint64_t advance(uint64_t *reading, uint64_t now)
{
	uint64_t since = now > *reading ? now - *reading : 0;

	*reading = now;
	return since;
}

void limit_cpu_account(struct arena *a)
{
	struct limit *l = &a->limit;
	struct tri_ctl *ctl = a->view.ctl;
	uint64_t now = clock_ns(), overflow = l->limiter.overflow_cpu_ns, total, gc, program,
		 assist;

	assist = advance(&l->assist_ns, assist_cpu_ns(ctl));
	gc = advance(&l->own_cpu_ns, clock_cpu_ns()) + assist + l->unreported_ns;
	l->unreported_ns = 0;
	total = (uint64_t)((double)sub_sat(now, l->limiter.updated_ns) * l->limiter.cpu_milli /
			   1000);
	/* A client whose clock can't be read is assumed to use all that is left. */
	program = l->client_seen ?
			  sub_sat(advance(&l->client_cpu_ns, client_cpu_ns(l)), assist) :
			  sub_sat(total, gc);
	l->gc_ns += gc;
	l->program_ns += program;
	tri_write(&ctl->limited_gc_ns, l->gc_ns);
	tri_write(&ctl->limited_program_ns, l->program_ns);
	/*
	 * What is owed is paid first.  Time of the program that pays it does not drain the bucket.
	 */
	if (program > gc && l->owed_cpu_ns) {
		uint64_t pays = program - gc < l->owed_cpu_ns ? program - gc : l->owed_cpu_ns;

		l->owed_cpu_ns -= pays;
		program -= pays;
	}
	limiter_add_assist(&l->limiter, gc);
	limiter_add_idle(&l->limiter, sub_sat(sub_sat(total, gc), program));
	limiter_update(&l->limiter, now);
	l->owed_cpu_ns += l->limiter.overflow_cpu_ns - overflow;
}

void limit_cpu_interrupted(struct arena *a, uint64_t ns, uint64_t times)
{
	struct limit *l = &a->limit;
	uint64_t assist = advance(&l->answered_assist_ns, tri_read(&a->view.ctl->assist_ns));
	uint64_t scan = sub_sat(ns, assist), most = times * SCAN_NS;

	/*
	 * Assists are counted as they happen.  A scan that took longer than SCAN_NS did not have
	 * its CPU all the time.
	 */
	if (l->in_force_bytes != PACER_NO_LIMIT)
		l->unreported_ns += scan < most ? scan : most;
}

bool limit_cpu_exceeded(const struct limit *l)
{
	return l->owed_cpu_ns || limiter_limiting(&l->limiter);
}
