/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slice.h - short time slices, for threads that work little and are waited for
 *
 * Under EEVDF (Linux 6.12 and later) a thread may ask for a shorter slice than the default of some
 * 3 ms: it gets no more CPU time in all, but gets it sooner after a wake-up.  A cycle is a handful
 * of wake-ups of agent and collector, and while CPUs are short each would otherwise cost a slice of
 * somebody else, in which the heap grows.  Older kernels ignore it.
 */
#ifndef TRI_CORE_SLICE_H
#define TRI_CORE_SLICE_H

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRI_SLICE_NS 100000ull

/* struct sched_attr of <linux/sched/types.h>, which glibc's headers can't be included with. */
struct tri_sched_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

/** For the calling thread. */
static inline void tri_short_slice(void)
{
	struct tri_sched_attr attr;

	memset(&attr, 0, sizeof(attr));
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0))
		return;
	attr.size = sizeof(attr);
	attr.runtime_ns = TRI_SLICE_NS;
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

#endif
