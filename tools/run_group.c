// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_group.c - a memory cgroup for one program and its children
 *
 *  1. Version 1: a group below our own in the hierarchy of "memory".
 *  2. Version 2: the same, if our own group may hand "memory" down: it may not while it has
 *     processes of its own, unless it is the root.  Then a group beside our own, but only where
 *     ours has no limit itself, or the program would get out of that.
 *  3. cgroup.procs does not tell whether it is empty: a process whose leader has ended is not
 *     listed any more when its last thread is about to end, and that one is in the group while it
 *     frees the memory of all.  Version 2 has "populated" in cgroup.events, which can be waited
 *     for.  Version 1 lists the thread in "tasks"; its process can be waited for (pidfd_open), and
 *     the children of each are in the list by the time that it ends.
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

#include "core/system/cgroup.h"

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

/* Make a new group in @parent, with @limit_file in it. */
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
	if (limit_bytes == TRI_CGROUP_NONE)
		return true;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit_bytes);
	err = write_file(g->dir, limit_file, text);
	return !err || no(g, "can't set %s of %.150s: %s", limit_file, g->dir, strerror(err));
}

static bool is_max(const char *dir, const char *name)
{
	char text[64];
	uint64_t n;

	return !tri_cgroup_read(dir, name, text, sizeof(text)) ||
	       !tri_cgroup_parse_number(text, &n) || n == TRI_CGROUP_NONE;
}

static bool make_v2(struct run_group *g, const struct tri_cgroup *own, uint64_t limit_bytes)
{
	char parent[PATH_MAX], why[sizeof(g->why)];

	/* This fails if "memory" is on already and the group has processes; it is on then. */
	write_file(own->dir, "cgroup.subtree_control", "+memory");
	if (make_in(g, own->dir, "memory.max", limit_bytes))
		return true;
	if (!is_max(own->dir, "memory.max") || !is_max(own->dir, "memory.high"))
		return false;
	memcpy(why, g->why, sizeof(why));
	memcpy(parent, own->dir, sizeof(parent));
	if (tri_cgroup_up(parent, own->mount_len) && make_in(g, parent, "memory.max", limit_bytes))
		return true;
	memcpy(g->why, why, sizeof(why));
	return false;
}

bool run_group_make(struct run_group *g, const char *root, uint64_t limit_bytes)
{
	struct tri_cgroup own;

	memset(g, 0, sizeof(*g));
	if (!tri_cgroup_find(root, getpid(), "memory", &own))
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

/* A thread of the group, in version 1; 0: there is none. */
static pid_t a_thread(const struct run_group *g)
{
	char text[32];

	/* The text may be cut off, but the first number is whole. */
	return tri_cgroup_read(g->dir, "tasks", text, sizeof(text)) ? atoi(text) : 0;
}

static bool is_populated(const struct run_group *g)
{
	char text[256];
	uint64_t populated;

	return tri_cgroup_read(g->dir, "cgroup.events", text, sizeof(text)) &&
	       tri_cgroup_parse_stat(text, "populated", &populated) && populated;
}

bool run_group_is_empty(const struct run_group *g)
{
	return g->version == 2 ? !is_populated(g) : !a_thread(g);
}

/* A pidfd of the process of thread @tid; -1 and errno.  ESRCH: the process is gone. */
static int open_process(pid_t tid)
{
	char path[32], text[4096], *at;
	int fd = (int)syscall(SYS_pidfd_open, tid, 0);

	/* EINVAL, or ENOENT since Linux 6.9: @tid is not the number of its process. */
	if (fd >= 0 || (errno != EINVAL && errno != ENOENT))
		return fd;
	snprintf(path, sizeof(path), "/proc/%d", tid);
	at = tri_cgroup_read(path, "status", text, sizeof(text)) ? strstr(text, "\nTgid:") : NULL;
	errno = ESRCH;
	return at ? (int)syscall(SYS_pidfd_open, atoi(at + 6), 0) : -1;
}

/* Wait for one process after the other, until none is left. */
static void wait_for_threads(const struct run_group *g)
{
	struct pollfd p = { .events = POLLIN };
	pid_t tid;

	while ((tid = a_thread(g))) {
		p.fd = open_process(tid);
		if (p.fd < 0 && errno != ESRCH)
			return;
		if (p.fd < 0)
			continue;
		poll(&p, 1, -1);
		close(p.fd);
	}
}

/* poll() reports a change to a descriptor from which the previous content was read. */
static void wait_for_events(const struct run_group *g)
{
	struct pollfd p = { .fd = tri_cgroup_open(g->dir, "cgroup.events", O_RDONLY),
			    .events = POLLPRI };
	char text[256];
	uint64_t populated;
	ssize_t n;

	while (p.fd >= 0 && (n = pread(p.fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = 0;
		if (!tri_cgroup_parse_stat(text, "populated", &populated) || !populated)
			break;
		poll(&p, 1, -1);
	}
	if (p.fd >= 0)
		close(p.fd);
}

void run_group_wait_empty(const struct run_group *g)
{
	if (g->version == 2)
		wait_for_events(g);
	else
		wait_for_threads(g);
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
