// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_elect.c - a collector that finds another one about to be the policy waits for that, and does
 * not ask again
 *
 * Two clients in one group have private collectors.  The first collector has the address and does
 * not listen yet.
 */
#define _GNU_SOURCE
#include "lib/groups.h"
#include "lib/points.h"
#include "lib/served.h"
#include "kselftest_harness.h"

#define LIMIT_BYTES (256ull << 20)
#define WHILE_NS 200000000ull		/* so long the first is held: an attempt now and then
					 * would be seen */

static bool is_peer(pid_t pid)
{
	char name[64];

	return !strcmp(group_proc_text(pid, "comm", name, sizeof(name)), "tricolor-peer\n");
}

/* What runs in the group.  Returns 0, or the number of the step that failed. */
static int elect_two(void)
{
	struct tri_point *bound, *tries, *waiting;
	struct served first, second;
	pid_t collector;
	bool waits, joins;

	points_open();
	bound = point_hold("elect.bound", 0);
	tries = point_watch("elect.tries");
	waiting = point_watch("elect.waits");
	first = served_start("off", 0, NULL);
	if (!point_reached(bound))
		return 1;
	second = served_start("off", 0, NULL);
	if (!point_passed_times(waiting, 1))
		return 2;
	pause_ns(WHILE_NS);
	waits = point_passed(tries) == 2;
	if (!point_release(bound))
		return 3;
	collector = (pid_t)served_tell(&second, 's').collector_pid;
	joins = WAIT_FOR(is_peer(collector), 1000000, PATIENCE_NS) && point_passed(tries) == 2;
	if (served_end(&first) || served_end(&second))
		return 4;
	return !waits ? 5 : joins ? 0 : 6;
}

TEST(peer_markers_wait_for_the_policy_to_listen)
{
	struct test_group group;
	pid_t pid;

	if (!group_make(&group, "memory", "elect"))
		SKIP(return, "%s", group_why());
	ASSERT_TRUE(group_limit(&group, LIMIT_BYTES));
	pid = fork();
	if (!pid)
		_exit(group_enter(&group, getpid()) ? elect_two() : 7);
	EXPECT_EQ(0, wait_status(pid));
	group_remove(&group);
}

TEST_HARNESS_MAIN
