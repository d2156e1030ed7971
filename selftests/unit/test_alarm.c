// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_alarm.c - what the kernel tells about a control group without being asked
 *
 * In control groups of its own, v1 or v2; where none can be made it skips with the reason.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "daemon/limits/alarm.h"
#include "lib/groups.h"
#include "lib/process.h"

#define MIB (1ull << 20)

static struct test_group group;
static struct alarm alarms;
static struct tri_cgroup_files files;

/* Whether one of the descriptors in @which (bits of alarm_poll()'s order) rings in time. */
static bool rings(unsigned int which)
{
	uint64_t end = now_ns() + 3 * PATIENCE_NS;
	struct pollfd p[ALARM_FDS];

	do {
		unsigned int i;

		alarm_poll(&alarms, p);
		if (poll(p, ALARM_FDS, 100) <= 0)
			continue;
		for (i = 0; i < ALARM_FDS; i++)
			if (p[i].revents && which & 1u << i)
				return alarm_rang(&alarms, p);
		alarm_rang(&alarms, p);
	} while (now_ns() < end);
	return false;
}

/* Whether it comes to rest: it must not be that every poll() returns at once. */
static bool rests(void)
{
	struct pollfd p[ALARM_FDS];
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		alarm_poll(&alarms, p);
		if (!poll(p, ALARM_FDS, 100))
			return true;
		alarm_rang(&alarms, p);
	}
	return false;
}

/* A process in the group that takes @bytes, and some of them anew again and again. */
static pid_t start_hog(uint64_t bytes)
{
	pid_t pid = fork();
	uint64_t i;
	char *p;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = group_enter(&group, getpid()) ? mmap(NULL, bytes, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
	if (p == MAP_FAILED)
		_exit(1);
	for (;;) {
		for (i = 0; i < bytes; i += 4096)
			p[i] = 1;
		madvise(p, bytes / 4, MADV_DONTNEED);
		pause_ns(1000000);
	}
}

static void end_hog(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
}

/* A limit is written: the watcher's one descriptor for all groups. */
static void test_limits(void)
{
	int fd = alarm_limits_open();
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ksft_test_result(alarm_on_limit(fd, &files) && alarm_on_limit(fd, &files) &&
				 !poll(&p, 1, 0),
			 "limits: nothing is written\n");
	ksft_test_result(group_limit(&group, 256 * MIB) && poll(&p, 1, 10000) == 1,
			 "limits: one is written\n");
	alarm_limits_drain(fd);
	ksft_test_result(!poll(&p, 1, 0), "limits: once\n");
	close(fd);
}

static void test_v1(void)
{
	pid_t hog;

	ksft_test_result_skip("memory.events: this is v1\n");
	ksft_test_result_skip("memory.pressure: this is v1\n");
	alarm_thresholds(&alarms, &files, 16 * MIB, 32 * MIB);
	ksft_test_result(alarm_on_use(&alarms), "thresholds: can be set\n");
	hog = start_hog(48 * MIB);
	ksft_test_result(rings(1u << 1), "thresholds: use has passed them\n");
	end_hog(hog);
}

static void test_v2(void)
{
	bool events, pressure;
	pid_t hog;

	ksft_test_result(rests(), "v2: nothing has happened\n");
	if (!group_write(group.dir, "memory.high", "16777216"))
		ksft_exit_fail_msg("%s\n", group_why());
	hog = start_hog(20 * MIB);
	events = rings(1u << 1);
	ksft_test_result(events, "memory.events: memory.high is passed\n");
	pressure = rings(1u << 0);
	end_hog(hog);
	if (!pressure && alarms.pressure_fd < 0)
		ksft_test_result_skip("memory.pressure: this kernel has none\n");
	else
		ksft_test_result(pressure, "memory.pressure: tasks wait for memory\n");
	alarm_thresholds(&alarms, &files, 16 * MIB, 32 * MIB);
	ksft_test_result(!alarm_on_use(&alarms), "thresholds: v2 has none\n");
}

int main(void)
{
	ksft_print_header();
	if (!group_make(&group, "memory", "alarm"))
		ksft_exit_skip("%s\n", group_why());
	ksft_set_plan(9);
	if (!tri_cgroup_files_open(&files, group.dir, group.version))
		ksft_exit_fail_msg("%s: no files\n", group.dir);
	test_limits();
	alarm_open(&alarms, &files);
	if (group.version == 1)
		test_v1();
	else
		test_v2();
	ksft_test_result(rests(), "then it is quiet again\n");
	group_remove(&group);
	ksft_test_result(rests(), "and when the group is gone\n");
	alarm_close(&alarms);
	ksft_finished();
}
