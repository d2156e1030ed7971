// SPDX-License-Identifier: GPL-2.0-only
/* groups.c - see groups.h */
#include "groups.h"

#include <stdarg.h>

static char group_reason[256];

const char *group_why(void)
{
	return group_reason;
}

void group_set_why(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(group_reason, sizeof(group_reason), format, args);
	va_end(args);
	group_reason[strcspn(group_reason, "\n")] = 0;
}

bool group_write(const char *dir, const char *name, const char *text)
{
	char path[512];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (!ok)
		snprintf(group_reason, sizeof(group_reason), "%.180s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

bool group_read(const char *dir, const char *name, char *text, size_t room)
{
	char path[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, room - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

uint64_t group_number(const struct test_group *g, const char *name, const char *word)
{
	char text[8192], *at = text;

	if (!group_read(g->dir, name, text, sizeof(text)))
		return 0;
	while (word && at && (strncmp(at, word, strlen(word)) || at[strlen(word)] != ' ')) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(word ? at + strlen(word) : at, NULL, 10) : 0;
}

bool group_make(struct test_group *g, const char *controller, const char *name)
{
	char base[128], text[512];
	struct stat st;

	snprintf(base, sizeof(base), "/sys/fs/cgroup/%s", controller);
	if (!stat(base, &st)) {
		g->version = 1;
	} else {
		strcpy(base, "/sys/fs/cgroup");
		g->version = 2;
		if (!group_read(base, "cgroup.controllers", text, sizeof(text)) ||
		    !strstr(text, controller)) {
			snprintf(group_reason, sizeof(group_reason),
				 "no control groups of %s at /sys/fs/cgroup", controller);
			return false;
		}
		snprintf(text, sizeof(text), "+%s", controller);
		if (!group_write(base, "cgroup.subtree_control", text))
			return false;
	}
	snprintf(g->dir, sizeof(g->dir), "%s/tricolor-test-%d-%s", base, getpid(), name);
	if (mkdir(g->dir, 0755)) {
		snprintf(group_reason, sizeof(group_reason), "%.180s: %s", g->dir, strerror(errno));
		return false;
	}
	return true;
}

bool group_make_in(struct test_group *g, const struct test_group *parent, const char *name)
{
	uint64_t hierarchical;

	g->version = parent->version;
	if (g->version == 2 && !group_write(parent->dir, "cgroup.subtree_control", "+memory"))
		return false;
	hierarchical = group_number(parent, "memory.use_hierarchy", NULL);
	if (g->version == 1 && !hierarchical &&
	    !group_write(parent->dir, "memory.use_hierarchy", "1"))
		return false;
	if (snprintf(g->dir, sizeof(g->dir), "%s/%s", parent->dir, name) >= (int)sizeof(g->dir) ||
	    mkdir(g->dir, 0755)) {
		snprintf(group_reason, sizeof(group_reason), "%.180s: %s", g->dir, strerror(errno));
		return false;
	}
	return true;
}

bool group_high(const struct test_group *g, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	return group_write(g->dir, "memory.high", text);
}

bool group_limit(const struct test_group *g, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	return group_write(g->dir, g->version == 2 ? "memory.max" : "memory.limit_in_bytes", text);
}

uint64_t group_limit_bytes(const struct test_group *g)
{
	return group_number(g, g->version == 2 ? "memory.max" : "memory.limit_in_bytes", NULL);
}

bool group_cpus(const struct test_group *g, unsigned int percent)
{
	char text[64];

	if (g->version == 2) {
		snprintf(text, sizeof(text), "%u 100000", percent * 1000);
		return group_write(g->dir, "cpu.max", text);
	}
	snprintf(text, sizeof(text), "%u", percent * 1000);
	return group_write(g->dir, "cpu.cfs_period_us", "100000") &&
	       group_write(g->dir, "cpu.cfs_quota_us", text);
}

bool group_enter(const struct test_group *g, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", pid);
	return group_write(g->dir, "cgroup.procs", text);
}

uint64_t group_usage(const struct test_group *g)
{
	return group_number(g, g->version == 2 ? "memory.current" : "memory.usage_in_bytes", NULL);
}

uint64_t group_peak(const struct test_group *g)
{
	return group_number(g, g->version == 2 ? "memory.peak" : "memory.max_usage_in_bytes", NULL);
}

uint64_t group_kills(const struct test_group *g)
{
	return g->version == 2 ? group_number(g, "memory.events", "oom_kill") :
				 group_number(g, "memory.oom_control", "oom_kill");
}

const char *group_proc_text(pid_t pid, const char *name, char *text, size_t room)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	group_read(dir, name, text, room);
	return text;
}

/*
 * The line of @controller in /proc/PID/cgroup without its number; that of v2 if no other has the
 * controller.
 */
static void group_line(pid_t pid, const char *controller, char *line, size_t room)
{
	char text[4096], *p, *state = NULL, names[256], word[64];

	*line = 0;
	snprintf(word, sizeof(word), ",%s,", controller);
	group_proc_text(pid, "cgroup", text, sizeof(text));
	for (p = strtok_r(text, "\n", &state); p; p = strtok_r(NULL, "\n", &state)) {
		char *at = strchr(p, ':');

		if (!at)
			continue;
		snprintf(names, sizeof(names), ",%.*s,", (int)strcspn(at + 1, ":"), at + 1);
		if (strstr(names, word) || (!*line && at[1] == ':'))
			snprintf(line, room, "%s", at);
	}
}

bool group_is_same(pid_t a, pid_t b, const char *controller)
{
	char of_a[1024], of_b[1024];

	group_line(a, controller, of_a, sizeof(of_a));
	group_line(b, controller, of_b, sizeof(of_b));
	return *of_a && !strcmp(of_a, of_b);
}

void group_remove(const struct test_group *g)
{
	int i;

	for (i = 0; i < 1000 && rmdir(g->dir) && errno == EBUSY; i++)
		usleep(10000);
}
