// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - what an arena of /dev/tricolor has beyond a memfd
 *
 * The collector publishes its state to the module, for sysfs and tracepoints, with each phase and
 * with the figures of each cycle.  A setting that was written into a file in sysfs, or asked for by
 * netlink, makes POLLPRI on the descriptor, and is followed like any other order.  If a call fails
 * here, the module only has an older state.
 */
#include "device.h"

#include <linux/tricolor.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "arena.h"
#include "core/system/clock.h"
#include "daemon/process/cpus.h"
#include "daemon/clients/registry.h"

static uint32_t phase_of(enum phase phase)
{
	switch (phase) {
	case PHASE_BARRIER:
		return TRICOLOR_PHASE_BARRIER;
	case PHASE_MARK:
		return TRICOLOR_PHASE_MARK;
	case PHASE_TERMINATION:
		return TRICOLOR_PHASE_TERMINATION;
	case PHASE_SWEEP:
		return TRICOLOR_PHASE_SWEEP;
	default:
		return TRICOLOR_PHASE_OFF;
	}
}

static void publish(struct arena *a, enum phase phase, uint32_t events)
{
	uint64_t lived_ns = clock_ns() - a->client.attached_ns;
	struct tricolor_pacer p = {
		.size = sizeof(p),
		.phase = phase_of(phase),
		.goal_bytes = pacer_goal_bytes(&a->pacer),
		.trigger_bytes = pacer_trigger_bytes(&a->pacer),
		.live_bytes = a->live.bytes,
		.memory_limit_bytes = a->limit.in_force_bytes,
		.budget_bytes = a->limit.share_bytes == PACER_NO_LIMIT ? UINT64_MAX :
				(uint64_t)a->limit.share_bytes,
		.cycles = tri_read(&a->view.ctl->cycles),
		.mark_cpu_ns = a->totals.gc_cpu_ns,
		.assist_bytes = tri_read(&a->view.ctl->assist_scan_bytes),
		.interrupted_max_ns = a->last.interrupted_max_ns,
		.gc_percent = a->pacer.config.gc_percent,
		.gc_cpu_ppm = lived_ns ? (uint32_t)((double)a->totals.gc_cpu_ns * 1e6 /
						    ((double)lived_ns * cpus_online())) : 0,
		.limiter = a->limit.gives_way,
	};

	if (p.memory_limit_bytes != a->published.limit_bytes ||
	    p.budget_bytes != a->published.budget_bytes || p.gc_percent != a->published.gc_percent)
		events |= TRICOLOR_EVENT_LIMIT;
	if (p.limiter != a->published.limiter)
		events |= TRICOLOR_EVENT_LIMITER;
	a->published.limit_bytes = p.memory_limit_bytes;
	a->published.budget_bytes = p.budget_bytes;
	a->published.gc_percent = p.gc_percent;
	a->published.limiter = p.limiter;
	p.events = events;
	ioctl(a->fd, TRICOLOR_IOC_PUBLISH, &p);
}

void device_phase(struct arena *a, enum phase phase)
{
	a->phase = phase;
	if (a->is_device)
		publish(a, phase, TRICOLOR_EVENT_PHASE);
}

void device_publish(struct arena *a)
{
	if (a->is_device)
		publish(a, a->phase, TRICOLOR_EVENT_PACER);
}

bool device_tunables(struct arena *a, struct tricolor_tunables *t)
{
	*t = (struct tricolor_tunables){ .size = sizeof(*t) };
	return !ioctl(a->fd, TRICOLOR_IOC_TUNABLES, t);
}
