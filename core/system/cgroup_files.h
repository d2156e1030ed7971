/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup_files.h - a control group's files, open: see cgroup_files.c
 */
#ifndef TRI_CORE_CGROUP_FILES_H
#define TRI_CORE_CGROUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../proto/client.h"

/* The open files of one group.  Whoever has the struct owns the descriptors. */
struct tri_cgroup_files {
	unsigned int version;		/* 1 or 2; 0: there are none */
	int fd[TRI_FD_KINDS];		/* by enum tri_fd_kind; -1: it is missing, or we may not
					 * open it */
};

/** Make @f a struct without open files. */
void tri_cgroup_files_init(struct tri_cgroup_files *f);

/**
 * Open the memory files of the group at @dir.  False: its limit cannot be read.  errno is 0 if all
 * that can be opened is; else there was no descriptor or no memory for one of them.
 */
bool tri_cgroup_files_open(struct tri_cgroup_files *f, const char *dir, unsigned int version);

void tri_cgroup_files_close(struct tri_cgroup_files *f);

/** The group's own limit: the smaller of memory.max and memory.high, or TRI_CGROUP_NONE. */
uint64_t tri_cgroup_files_limit(const struct tri_cgroup_files *f);

/**
 * v1: the smallest limit of the group and all groups above it, also of those that are not visible
 * here; or TRI_CGROUP_NONE.
 */
uint64_t tri_cgroup_files_limit_above(const struct tri_cgroup_files *f);

/**
 * All memory that is charged to the group, with its file cache; TRI_CGROUP_NONE if it cannot be
 * read.  Cheaper than tri_cgroup_files_usage().
 */
uint64_t tri_cgroup_files_charged(const struct tri_cgroup_files *f);

/**
 * The same without inactive file cache, which the kernel takes back first; TRI_CGROUP_NONE if it
 * cannot be read.
 */
uint64_t tri_cgroup_files_usage(const struct tri_cgroup_files *f);

/** How many CPUs the group's quota allows; 0: there is no quota. */
double tri_cgroup_files_cpus(const struct tri_cgroup_files *f);

/**
 * Open, for a collector, the files of the calling process's memory and cpu cgroups and of all
 * groups above them that it can see.  Fills in what @hello says about the group.  Descriptors are
 * appended to @fds, which has room for TRI_HELLO_FDS, and their kinds to hello->fds; @n are there
 * already.  Returns how many there are now.  The caller closes those from @n on.
 */
size_t tri_cgroup_files_hello(const char *root, struct tri_hello *hello, int *fds, size_t n);

#endif
