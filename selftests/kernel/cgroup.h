/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cgroup.h - memory cgroups (version 2) for tests
 */
#ifndef TRICOLOR_SELFTESTS_CGROUP_H
#define TRICOLOR_SELFTESTS_CGROUP_H

#include "arena.h"

#define CGROUPS "/sys/fs/cgroup"

#define REQUIRE_CGROUPS()								\
	do {										\
		char all_[512];								\
											\
		if (!read_text(CGROUPS "/cgroup.subtree_control", all_, sizeof(all_)) ||	\
		    !strstr(all_, "memory"))						\
			SKIP(return, "no memory controller in " CGROUPS);		\
	} while (0)

struct cgroup {
	char path[128];
};

static UNUSED struct cgroup cgroup_new(const char *name)
{
	struct cgroup c;

	snprintf(c.path, sizeof(c.path), CGROUPS "/tricolor-test-%d-%s", getpid(), name);
	ASSERT_EQ(0, mkdir(c.path, 0755));
	return c;
}

static UNUSED int cgroup_set(const struct cgroup *c, const char *file, const char *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	return write_text(path, value);
}

static UNUSED void cgroup_set_bytes(const struct cgroup *c, const char *file, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	ASSERT_EQ(0, cgroup_set(c, file, text));
}

/* This process, from now on. */
static UNUSED void cgroup_enter(const struct cgroup *c)
{
	ASSERT_EQ(0, cgroup_set(c, "cgroup.procs", "0"));
}

static UNUSED void cgroup_leave(void)
{
	ASSERT_EQ(0, write_text(CGROUPS "/cgroup.procs", "0"));
}

/* The number after @key in a file of lines "key number", or of a file that is just a number. */
static UNUSED uint64_t cgroup_get(const struct cgroup *c, const char *file, const char *key)
{
	char path[192], text[8192], *line, *rest = NULL;
	size_t n = key ? strlen(key) : 0;

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	ASSERT_TRUE(read_text(path, text, sizeof(text)));
	if (!key)
		return strtoull(text, NULL, 10);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strncmp(line, key, n) && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
	TH_LOG("%s has no %s", path, key);
	th_fail(true);
	return 0;
}

/* Processes that have ended are in it for a moment longer. */
static UNUSED bool cgroup_remove(const struct cgroup *c)
{
	return WAIT_FOR(!rmdir(c->path) || errno == ENOENT);
}

#endif
