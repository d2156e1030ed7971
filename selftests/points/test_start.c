// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_start.c - two threads start the heap at once
 */
#include <dirent.h>
#include <pthread.h>

#include "kselftest_harness.h"
#include "lib/points.h"
#include "lib/witness.h"

/* The heap has been started by then, as a thread is attached before its function is called. */
static void *use_heap(void *arg)
{
	return witness_ok(witness_new(7), 7) ? NULL : arg;
}

/* Read the line of a file in a task's folder. */
static bool task_line(const char *task, const char *name, char *line, size_t room)
{
	char path[320];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, name);
	f = fopen(path, "r");
	ok = f && fgets(line, (int)room, f);
	if (f)
		fclose(f);
	return ok;
}

/* How many threads of this process wait. */
static int asleep(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	char line[256], *p;
	int n = 0;

	while (d && (e = readdir(d))) {
		p = e->d_name[0] != '.' && task_line(e->d_name, "stat", line, sizeof(line)) ?
			    strrchr(line, ')') :
			    NULL;
		n += p && p[2] == 'S';
	}
	if (d)
		closedir(d);
	return n;
}

static int agents(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	char line[64];
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' && task_line(e->d_name, "comm", line, sizeof(line)) &&
		     !strcmp(line, "tricolor-agent\n");
	if (d)
		closedir(d);
	return n;
}

/*
 * The second thread must not take itself for a forked child.  It would do so if it found the page
 * that tells the two apart before the page is filled in.  It would then start a second heap beside
 * the first.
 */
TEST(two_threads_at_once)
{
	struct tri_point *watched;
	pthread_t first, second;
	void *failed;

	points_open();
	watched = point_hold("raw_fork.init", 0);
	ASSERT_EQ(0, pthread_create(&first, NULL, use_heap, &watched));
	ASSERT_TRUE(point_reached(watched));
	ASSERT_EQ(0, pthread_create(&second, NULL, use_heap, &watched));
	/* The first thread waits at the point, and the second behind it. */
	ASSERT_TRUE(WAIT_FOR(asleep() == 2, 100000, PATIENCE_NS));
	ASSERT_TRUE(point_release(watched));
	pthread_join(first, &failed);
	EXPECT_EQ(NULL, failed);
	pthread_join(second, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_EQ(1, agents());
}

TEST_HARNESS_MAIN
