/* SPDX-License-Identifier: GPL-2.0-only */
/* cpus.h - CPUs that the daemon may use */
#ifndef TRICOLOR_CPUS_H
#define TRICOLOR_CPUS_H

#include <sys/types.h>

/** CPUs of the machine that are online. */
unsigned int cpus_online(void);

/** CPUs by affinity mask and cgroup quota, ancestors included; rounded up, at least 1. */
unsigned int cpus_allowed(void);

/** CPUs that the quotas of @pid's cgroup and its ancestors allow; 0: none that we see. */
double cpus_quota(pid_t pid);

#endif
