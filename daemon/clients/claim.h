/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * claim.h - what a client says of itself, and the files of its control groups that it has sent: see
 * claim.c
 */
#ifndef TRICOLOR_CLAIM_H
#define TRICOLOR_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/system/cgroup_files.h"
#include "core/proto/client.h"

/*
 * It lives from HELLO to the end of the arena, of which it is a part.  Texts are constant, and have
 * no control characters.  The files of memory are for the watcher, which takes them out; those of
 * CPUs are for the arena's thread.
 */
struct claim {
	int32_t pid;			/* in the client's namespace */
	char comm[16];
	char host[64];
	char cgroup[128];		/* path of its memory cgroup, in its namespace */
	char why[96];			/* why it could send no files of its group, or "" */
	bool sends;			/* it could send files, or is in no group */
	unsigned int levels;		/* up to the highest level that it sent a file of */
	struct tri_cgroup_files level[TRI_FD_LEVELS];
};

/**
 * A client has sent @n descriptors, and @hello says what they are.  Those of which that can be true
 * become part of the claim, the arena's is in @arena (or -1), and all others are closed.  NULL: no
 * memory; all but the arena's are closed.
 */
struct claim *claim_new(const struct tri_hello *hello, const int *fds, size_t n, int *arena);

/** Free @c, which may be NULL. */
void claim_free(struct claim *c);

/** Whether anything is known of the client's memory. */
bool claim_has_memory(const struct claim *c);

/** CPUs that the quotas of its groups allow; 0: we see no quota. */
double claim_cpus(const struct claim *c);

#endif
