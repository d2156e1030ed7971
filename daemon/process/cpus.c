// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpus.c - how many CPUs this process may use
 *
 * That may be fewer than the machine has.  The affinity mask may leave some out.  And a CPU quota
 * of our cgroup, or of one that this is in, may allow less (cpu.max in v2, cpu.cfs_quota_us in v1).
 */
#include "cpus.h"

#include <sched.h>
#include <unistd.h>

#include "core/system/cgroup.h"

unsigned int cpus_online(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned int)n;
}

double cpus_quota(pid_t pid)
{
	struct tri_cgroup cg;

	return tri_cgroup_find("", pid, "cpu", &cg) ? tri_cgroup_cpu_quota(&cg) : 0;
}

unsigned int cpus_allowed(void)
{
	double quota = cpus_quota(getpid());
	cpu_set_t set;
	unsigned int n = cpus_online();

	if (!sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 0)
		n = (unsigned int)CPU_COUNT(&set);
	if (quota > 0 && quota < n)
		n = quota < 1 ? 1 : (unsigned int)(quota + 0.999);
	return n;
}
