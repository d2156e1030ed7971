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

/* Of one group.  Whoever has the struct owns the descriptors. */
struct tri_cgroup_files {
	unsigned int version;		/* 1 or 2; 0: there are none */
	int fd[TRI_FD_KINDS];		/* by enum tri_fd_kind; -1: it is not there, or not for
					 * us */
};

/** No files. */
void tri_cgroup_files_init(struct tri_cgroup_files *f);

/** Those that tell about memory, of the group at @dir.  False: there is no limit to be read. */
bool tri_cgroup_files_open(struct tri_cgroup_files *f, const char *dir, unsigned int version);

void tri_cgroup_files_close(struct tri_cgroup_files *f);

/** Its own limit: the less of memory.max and memory.high; TRI_CGROUP_NONE. */
uint64_t tri_cgroup_files_limit(const struct tri_cgroup_files *f);

/** v1: the least limit of the group and all above it, seen or not; TRI_CGROUP_NONE. */
uint64_t tri_cgroup_files_limit_above(const struct tri_cgroup_files *f);

/** What is charged to it, file cache and all; TRI_CGROUP_NONE if it can't be read.  Cheap. */
uint64_t tri_cgroup_files_charged(const struct tri_cgroup_files *f);

/**
 * What it uses, less the file cache that is on no one's mind; TRI_CGROUP_NONE if it can't be read.
 */
uint64_t tri_cgroup_files_usage(const struct tri_cgroup_files *f);

/** CPUs that its quota allows; 0: no quota. */
double tri_cgroup_files_cpus(const struct tri_cgroup_files *f);

/**
 * Of the calling process: open the files of each level of its memory cgroup, and of its cpu cgroup,
 * that it sees, for a collector.  Fills in what @hello says of the group, and appends to @fds, of
 * room TRI_HELLO_FDS, in which and in hello->fds @n are already.  Returns how many there are then;
 * those from @n on are the caller's to close.
 */
size_t tri_cgroup_files_hello(const char *root, struct tri_hello *hello, int *fds, size_t n);

#endif
