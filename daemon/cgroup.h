/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cgroup.h - which control group holds a process, what it may use, and what it uses
 *
 * cgroup.c opens with how a group's folder is found.  Texts in, numbers out: whatever a file may
 * contain is parsed by functions that take text, so that tests need no kernel.  Every path begins
 * with @root, "" outside of tests.
 */
#ifndef TRICOLOR_CGROUP_H
#define TRICOLOR_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_NONE UINT64_MAX		/* no limit, or a figure that can't be had */

/* A process's group in one hierarchy.  Filled in by cgroup_find(); plain data. */
struct cgroup {
	unsigned int version;		/* 1 or 2; 0: not to be seen, and `why` says why */
	char dir[PATH_MAX];		/* its folder */
	size_t mount_len;		/* how much of it is the mount point: the highest that is seen */
	char why[160];
};

#define CGROUP_LIMITS 8			/* more that grow from group to group are not looked at */

/* A limit that holds for a group: its own, or that of one above it. */
struct cgroup_limit {
	uint64_t limit_bytes;		/* of memory.max and memory.high the less */
	char dir[PATH_MAX];		/* the folder of the group that has it: its use counts */
	bool hidden;			/* it is that of a group above what can be seen */
};

/* ---- texts ---- */

/** A number, or CGROUP_NONE for "max", "-1", or what v1 has for none.  False: neither. */
bool cgroup_parse_number(const char *text, uint64_t *value);

/** The value of @key in lines of "key value", as memory.stat has them. */
bool cgroup_parse_stat(const char *text, const char *key, uint64_t *value);

/**
 * The path of a process's group in /proc/PID/cgroup: the v1 hierarchy of @controller if there is
 * one, else v2.  Returns the version; 0: neither, or longer than @room.
 */
unsigned int cgroup_parse_membership(const char *text, const char *controller, char *path,
				     size_t room);

/**
 * In mountinfo, what is mounted of the hierarchy (v2, or v1 of @controller) and where.  False: it
 * is not mounted.  Both rooms are PATH_MAX.
 */
bool cgroup_parse_mountinfo(const char *text, unsigned int version, const char *controller,
			    char *mounted, char *at);

/** The part of group @path below the mounted group @mounted; NULL if it is not in there. */
const char *cgroup_below(const char *path, const char *mounted);

/* ---- files ---- */

/** Find @pid's group for @controller.  False: not to be seen; cg->why has the reason. */
bool cgroup_find(const char *root, pid_t pid, const char *controller, struct cgroup *cg);

/**
 * The memory limits from @cg upwards that may leave the least room: the tightest, and then, going
 * up from there, each that is larger than those before it.  Returns how many there are, up to
 * @room.
 */
size_t cgroup_limits(const struct cgroup *cg, struct cgroup_limit *limits, size_t room);

/** What is charged to a group, file cache and all; CGROUP_NONE if it can't be read.  Cheap. */
uint64_t cgroup_charged(const char *dir, unsigned int version);

/**
 * Memory that a group uses, less the file cache that is on no one's mind: CGROUP_NONE if it can't
 * be read.
 */
uint64_t cgroup_usage(const char *dir, unsigned int version);

/** CPUs that the quotas from @cg (of "cpu") upwards allow; 0: no quota. */
double cgroup_cpu_quota(const struct cgroup *cg);

/** Go to the parent of folder @dir, but not above the mount point.  False: there is none. */
bool cgroup_up(char *dir, size_t mount_len);

/**
 * Open a file of a group, for as long as that can't wait.  -1 and errno also for what is no regular file,
 * or is none of a cgroup where the client has a say.
 */
int cgroup_open(const char *dir, const char *name, int flags);

/** A small file as text.  False: it can't be read.  What does not fit is cut off. */
bool cgroup_read(const char *dir, const char *name, char *text, size_t room);

#endif
