// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fdinfo.c - /proc/PID/fdinfo of an arena's descriptors
 */

#include "arena.h"

#define BYTES (4 * MiB)

FIXTURE(fdinfo)
{
	int fd, collector;
	uint32_t id;
	char *p;
};

FIXTURE_SETUP(fdinfo)
{
	REQUIRE_MODULE();
	self->fd = new_arena(BYTES, 0, &self->id);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
}

FIXTURE_TEARDOWN(fdinfo)
{
}

/* The value of a line; NULL: there is none. */
static const char *value(int fd, const char *key)
{
	static char text[4096];
	char path[64], *line, *at;
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, info);
	n = read(info, text, sizeof(text) - 1);
	ASSERT_LT(0, n);
	close(info);
	text[n] = 0;
	for (line = strtok_r(text, "\n", &at); line; line = strtok_r(NULL, "\n", &at))
		if (!strncmp(line, key, strlen(key)) && !strncmp(line + strlen(key), ":\t", 2))
			return line + strlen(key) + 2;
	return NULL;
}

static uint64_t number(int fd, const char *key)
{
	const char *text = value(fd, key);

	ASSERT_NE(NULL, text);
	return strtoull(text, NULL, 10);
}

static bool says(int fd, const char *key, const char *expected)
{
	const char *text = value(fd, key);

	if (text && !strcmp(text, expected))
		return true;
	TH_LOG("%s: '%s', not '%s'", key, text ? text : "(no line)", expected);
	return false;
}

TEST_F(fdinfo, both_kinds_say_the_same)
{
	int fds[] = { self->fd, self->collector }, i;

	memset(self->p, 1, MiB);
	EXPECT_TRUE(says(self->fd, "tricolor-kind", "owner"));
	EXPECT_TRUE(says(self->collector, "tricolor-kind", "collector"));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(self->id, number(fds[i], "tricolor-arena"));
		EXPECT_TRUE(says(fds[i], "tricolor-state", "attached"));
		EXPECT_TRUE(says(fds[i], "tricolor-dirty", "off"));
		EXPECT_EQ(BYTES, number(fds[i], "tricolor-size"));
		EXPECT_EQ(MiB, number(fds[i], "tricolor-resident"));
	}
}

TEST_F(fdinfo, states)
{
	close(self->collector);
	EXPECT_TRUE(says(self->fd, "tricolor-state", "alone"));
	self->collector = new_collector(self->fd);
	if (has_feature(TRICOLOR_FEATURE_DIRTY)) {
		ASSERT_EQ(0, dirty_call(self->fd, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
		EXPECT_TRUE(says(self->fd, "tricolor-dirty", "tracked"));
	}
	memset(self->p, 1, MiB);
	ASSERT_EQ(0, munmap(self->p, BYTES));
	close(self->fd);
	EXPECT_TRUE(says(self->collector, "tricolor-state", "orphan"));
	EXPECT_EQ(self->id, number(self->collector, "tricolor-arena"));
}

TEST_F(fdinfo, without_an_arena_there_is_the_kind_only)
{
	int fd = open_dev();

	EXPECT_TRUE(says(fd, "tricolor-kind", "owner"));
	EXPECT_EQ(NULL, value(fd, "tricolor-arena"));
	EXPECT_EQ(NULL, value(fd, "tricolor-size"));
}

TEST_HARNESS_MAIN
