/* SPDX-License-Identifier: GPL-2.0-only */
/* cpus.h - CPUs that the daemon may use */
#ifndef TRICOLOR_CPUS_H
#define TRICOLOR_CPUS_H

#include <sys/types.h>

/** CPUs of the machine that are online. */
unsigned int cpus_online(void);

/** CPUs that the affinity mask and the quotas of our cgroups allow: rounded up, at least 1. */
unsigned int cpus_allowed(void);

/** CPUs that the quotas of @pid's cgroup and its ancestors allow; 0: we see no quota. */
double cpus_quota(pid_t pid);

#endif
