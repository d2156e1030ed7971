// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_group.c - a memory cgroup for one program and its children
 *
 *  1. Version 1: a group below our own in the hierarchy of "memory".
 *  2. Version 2: the same, if our own group may hand "memory" down: it may not while it has
 *     processes of its own, unless it is the root.  Then a group beside our own, but only where
 *     ours has no limit itself, or the program would get out of that.
 *  3. It is empty when no process is listed.  Each that is can be waited for (pidfd_open), in both
 *     versions; their children are in the list by the time that they end.
 */
#include "run_group.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 64];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	n = write(fd, text, strlen(text));
	err = n < 0 ? errno : 0;
	close(fd);
	return err;
}

static bool has_file(const char *dir, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

static bool no(struct run_group *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool no(struct run_group *g, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(g->why, sizeof(g->why), fmt, args);
	va_end(args);
	if (g->dir[0])
		rmdir(g->dir);
	g->dir[0] = 0;
	return false;
}

/* A new group in @parent, with @limit_file in it. */
static bool make_in(struct run_group *g, const char *parent, const char *limit_file,
		    uint64_t limit_bytes)
{
	char text[32];
	int err;

	if (snprintf(g->dir, sizeof(g->dir), "%s/tricolor-run-%d", parent, getpid()) >=
	    (int)sizeof(g->dir)) {
		g->dir[0] = 0;
		return no(g, "the path of %.100s is too long", parent);
	}
	if (mkdir(g->dir, 0755)) {
		err = errno;
		g->dir[0] = 0;
		return no(g, "can't make a group in %.150s: %s", parent, strerror(err));
	}
	if (!has_file(g->dir, limit_file))
		return no(g, "%.150s does not hand the memory controller down", parent);
	if (limit_bytes == CGROUP_NONE)
		return true;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit_bytes);
	err = write_file(g->dir, limit_file, text);
	return !err || no(g, "can't set %s of %.150s: %s", limit_file, g->dir, strerror(err));
}

static bool is_max(const char *dir, const char *name)
{
	char text[64];
	uint64_t n;

	return !cgroup_read(dir, name, text, sizeof(text)) || !cgroup_parse_number(text, &n) ||
	       n == CGROUP_NONE;
}

static bool make_v2(struct run_group *g, const struct cgroup *own, uint64_t limit_bytes)
{
	char parent[PATH_MAX], why[sizeof(g->why)];

	/* It is an error where it is on already and there are processes, but then it is on. */
	write_file(own->dir, "cgroup.subtree_control", "+memory");
	if (make_in(g, own->dir, "memory.max", limit_bytes))
		return true;
	if (!is_max(own->dir, "memory.max") || !is_max(own->dir, "memory.high"))
		return false;
	memcpy(why, g->why, sizeof(why));
	memcpy(parent, own->dir, sizeof(parent));
	if (cgroup_up(parent, own->mount_len) && make_in(g, parent, "memory.max", limit_bytes))
		return true;
	memcpy(g->why, why, sizeof(why));
	return false;
}

bool run_group_make(struct run_group *g, const char *root, uint64_t limit_bytes)
{
	struct cgroup own;

	memset(g, 0, sizeof(*g));
	if (!cgroup_find(root, getpid(), "memory", &own))
		return no(g, "%s", own.why);
	g->version = own.version;
	if (own.version == 2)
		return make_v2(g, &own, limit_bytes);
	return make_in(g, own.dir, "memory.limit_in_bytes", limit_bytes);
}

bool run_group_add(struct run_group *g, pid_t pid)
{
	char text[32];
	int err;

	snprintf(text, sizeof(text), "%d", pid);
	err = write_file(g->dir, "cgroup.procs", text);
	return !err || no(g, "can't move a process to %.150s: %s", g->dir, strerror(err));
}

/* Up to @room of its processes. */
static size_t processes(const struct run_group *g, pid_t *pids, size_t room)
{
	char path[PATH_MAX + 64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", g->dir);
	f = fopen(path, "re");
	while (f && n < room && fscanf(f, "%d", &pids[n]) == 1)
		n++;
	if (f)
		fclose(f);
	return n;
}

bool run_group_is_empty(const struct run_group *g)
{
	pid_t one;

	return !processes(g, &one, 1);
}

void run_group_wait_empty(const struct run_group *g)
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid;

	/* One after the other: the last of them is what counts. */
	while (processes(g, &pid, 1)) {
		p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (p.fd < 0 && errno != ESRCH)
			return;
		if (p.fd < 0)
			continue;
		poll(&p, 1, -1);
		close(p.fd);
	}
}

bool run_group_remove(struct run_group *g)
{
	if (rmdir(g->dir)) {
		snprintf(g->why, sizeof(g->why), "can't remove %.150s: %s", g->dir,
			 strerror(errno));
		return false;
	}
	return true;
}
