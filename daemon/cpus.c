// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpus.c - how many CPUs there are for us
 *
 * The number of CPUs is not the number that we may use: the affinity mask may leave some out, and a
 * cgroup's quota (v2 cpu.max, v1 cpu.cfs_quota_us), our own or an ancestor's, may allow less.
 */
#include "cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

unsigned int cpus_online(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned int)n;
}

static double read_v2(const char *dir)
{
	char path[4352];
	double quota, period, cpus = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lf %lf", &quota, &period) == 2 && period > 0)
		cpus = quota / period;
	fclose(f);
	return cpus;
}

static double read_number(const char *dir, const char *name)
{
	char path[4352];
	double value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lf", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

static double read_v1(const char *dir)
{
	double quota = read_number(dir, "cpu.cfs_quota_us");
	double period = read_number(dir, "cpu.cfs_period_us");

	return quota > 0 && period > 0 ? quota / period : 0;
}

/* The least quota from @group up to the root of the hierarchy at @mount; 0: none. */
static double least(const char *mount, const char *group, double (*quota)(const char *))
{
	char dir[4224];
	double min = 0;
	size_t root = strlen(mount);

	snprintf(dir, sizeof(dir), "%s%s", mount, group);
	for (;;) {
		double q = quota(dir);
		char *slash;

		if (q > 0 && (min == 0 || q < min))
			min = q;
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < root)
			return min;
		*slash = 0;
	}
}

static double cgroup_quota(void)
{
	char line[4096], *group, *names;
	double min = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");

	if (!f)
		return 0;
	/* "0::/group" in v2, "4:cpu,cpuacct:/group" in v1 */
	while (fgets(line, sizeof(line), f)) {
		double q = 0;

		line[strcspn(line, "\n")] = 0;
		names = strchr(line, ':');
		group = names ? strchr(names + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = 0;
		if (!names[1])
			q = least("/sys/fs/cgroup", group, read_v2);
		else if (!strcmp(names + 1, "cpu") || strstr(names + 1, "cpu,"))
			q = least("/sys/fs/cgroup/cpu", group, read_v1);
		if (q > 0 && (min == 0 || q < min))
			min = q;
	}
	fclose(f);
	return min;
}

unsigned int cpus_allowed(void)
{
	double quota = cgroup_quota();
	cpu_set_t set;
	unsigned int n = cpus_online();

	if (!sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 0)
		n = (unsigned int)CPU_COUNT(&set);
	if (quota > 0 && quota < n)
		n = quota < 1 ? 1 : (unsigned int)(quota + 0.999);
	return n;
}
