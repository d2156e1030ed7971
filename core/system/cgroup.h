/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.h - which control group holds a process, and what it may use
 *
 * For the library's agent as well as for collectors: nothing here calls malloc().
 *
 * cgroup.c begins with how a group's folder is found.  What files contain is parsed by functions
 * that take text, so that tests need no kernel.  Every path begins with @root, which is "" outside
 * of tests.
 */
#ifndef TRI_CORE_CGROUP_H
#define TRI_CORE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRI_CGROUP_NONE UINT64_MAX	/* no limit, or a figure that can't be had */
#define TRI_CGROUP_SELF (-1)		/* the calling process, whatever number it has in /proc */

/* A process's group in one hierarchy.  Filled in by tri_cgroup_find(); plain data. */
struct tri_cgroup {
	unsigned int version;		/* 1 or 2; 0: not to be seen, and `why` says why */
	char path[PATH_MAX];		/* the group's name, as we see it; "": not known */
	char dir[PATH_MAX];		/* its folder */
	size_t mount_len;		/* length of the mount point's path, which dir begins with:
					 * the highest group that is seen */
	bool none;			/* there is no such group: nothing limits the process */
	char why[160];
};

/* ---- texts ---- */

/**
 * A number, or TRI_CGROUP_NONE for "max", for "-1", and for v1's number that means no limit.
 * False: the text is none of these.
 */
bool tri_cgroup_parse_number(const char *text, uint64_t *value);

/** The value of @key in lines of "key value", as memory.stat has them. */
bool tri_cgroup_parse_stat(const char *text, const char *key, uint64_t *value);

/** CPUs that a line of cpu.max allows; 0: no quota. */
double tri_cgroup_parse_cpus(const char *text);

/**
 * The path of a process's group in /proc/PID/cgroup: the v1 hierarchy of @controller if there is
 * one, else v2.  Returns the version; 0: neither, or longer than @room.
 */
unsigned int tri_cgroup_parse_membership(const char *text, const char *controller, char *path,
				     size_t room);

/* A mount of a hierarchy. */
struct tri_cgroup_mount {
	uint64_t id;
	char mounted[PATH_MAX];		/* the group that is the root of this mount */
	char at[PATH_MAX];
};

/**
 * In mountinfo, what is mounted of the hierarchy (v2, or v1 of @controller) and where.  Returns the
 * rest of the text, in which there may be another mount of it; NULL: there is none.
 */
const char *tri_cgroup_parse_mountinfo(const char *text, unsigned int version,
				       const char *controller, struct tri_cgroup_mount *mount);

/**
 * The part of group @path below the mounted group @mounted; NULL if it is not in there.  Of that
 * @hidden folders are left out, the first ones, whose names a namespace hides.
 */
const char *tri_cgroup_below(const char *path, const char *mounted, unsigned int *hidden);

/* ---- files ---- */

/**
 * Find the group of @pid, or of TRI_CGROUP_SELF, for @controller.  False: it can't be seen, and
 * cg->why has the reason.
 */
bool tri_cgroup_find(const char *root, pid_t pid, const char *controller, struct tri_cgroup *cg);

/**
 * The least memory limit of @cg and all groups above it, seen or not; TRI_CGROUP_NONE if there is
 * none.
 */
uint64_t tri_cgroup_limit(const struct tri_cgroup *cg);

/** CPUs that the quotas from @cg (of "cpu") upwards allow; 0: no quota. */
double tri_cgroup_cpu_quota(const struct tri_cgroup *cg);

/** Go to the parent of folder @dir, but not above the mount point.  False: there is none. */
bool tri_cgroup_up(char *dir, size_t mount_len);

/**
 * Open a file of a group, without waiting for the other end of a FIFO that may stand in its place.
 * Returns -1 and sets errno: EMEDIUMTYPE if it is not a regular file or, where a client has chosen
 * what is mounted, not a file of a cgroup file system.
 */
int tri_cgroup_open(const char *dir, const char *name, int flags);

/** Whether what groups below @dir use is charged to @dir as well. */
bool tri_cgroup_is_hierarchical(const char *dir, unsigned int version);

/** A small file as text.  False: it can't be read.  What does not fit is cut off. */
bool tri_cgroup_read(const char *dir, const char *name, char *text, size_t room);

#endif
