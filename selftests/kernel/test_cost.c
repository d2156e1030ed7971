// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cost.c - what arenas cost the kernel, and how much of it is on no control group's account
 *
 * The kernel does not charge nodes of sysfs to anyone.  What an arena takes there is bounded here,
 * and how many arenas a user may have is bounded by the module's parameter.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "cgroup.h"

#define ARENAS 500
/* Folder, attributes, uevent, and two links: see sysfs.c and device_add(). */
#define NODES 25
#define UNACCOUNTED_MAX (16u << 10)

struct slabs {
	uint64_t bytes;			/* of all objects */
	uint64_t nodes, node_bytes;	/* kernfs_node_cache */
};

static struct slabs read_slabs(void)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	struct slabs s = { 0 };
	char line[512], name[64];
	unsigned long long active, all, size;

	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llu %llu %llu", name, &active, &all, &size) != 4)
			continue;
		s.bytes += active * size;
		if (!strcmp(name, "kernfs_node_cache")) {
			s.nodes = active;
			s.node_bytes = size;
		}
	}
	fclose(f);
	return s;
}

TEST_TIMEOUT(arenas, 120)
{
	struct rlimit limit = { ARENAS + 64, ARENAS + 64 };
	struct slabs before, after;
	uint64_t charged, outside;
	static int fds[ARENAS];
	struct cgroup c;
	int i;

	REQUIRE_MODULE();
	REQUIRE_CGROUPS();
	if (access("/proc/slabinfo", R_OK))
		SKIP(return, "no /proc/slabinfo here");
	c = cgroup_new("cost");
	cgroup_enter(&c);
	ASSERT_EQ(0, prlimit(0, RLIMIT_NOFILE, &limit, NULL));
	/* What is made with the first one only. */
	close(new_arena(MiB, 0, NULL));
	before = read_slabs();
	charged = cgroup_get(&c, "memory.stat", "slab");
	for (i = 0; i < ARENAS; i++)
		fds[i] = new_arena(MiB, 0, NULL);
	after = read_slabs();
	charged = cgroup_get(&c, "memory.stat", "slab") - charged;
	outside = (after.bytes - before.bytes - charged) / ARENAS;
	TH_LOG("an arena: %llu bytes of kernel objects, %llu of them on its cgroup's account, "
	       "%.1f nodes of sysfs of %llu bytes",
	       (unsigned long long)((after.bytes - before.bytes) / ARENAS),
	       (unsigned long long)(charged / ARENAS),
	       (double)(after.nodes - before.nodes) / ARENAS, (unsigned long long)after.node_bytes);
	EXPECT_GE(NODES + 1, (after.nodes - before.nodes) / ARENAS);
	EXPECT_GE(UNACCOUNTED_MAX, outside);
	for (i = 0; i < ARENAS; i++)
		close(fds[i]);
	cgroup_leave();
	EXPECT_TRUE(cgroup_remove(&c));
}

TEST_HARNESS_MAIN
