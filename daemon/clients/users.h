/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * users.h - counting what each user has of this collector, so that no user takes all
 *
 * A guest is a connection that is not a client's, or not yet: see accept.c.  Nothing here waits,
 * and the lock is held for a few instructions.
 */
#ifndef TRICOLOR_USERS_H
#define TRICOLOR_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Descriptors of a client: socket, arena, a copy of that for other threads, holes, eventfd for
 * orders, pidfd and a copy of that for other threads, and the files of its CPU quotas.  A client
 * that has a marker has a copy of the link in place of holes and eventfd.  The files of memory
 * cgroups do not count here, as levels.c bounds them.
 */
#define USERS_CLIENT_FILES 15

/**
 * Whether @uid stands for all users that our namespace has no number for.  Two clients of it may be
 * of different users.
 */
bool users_is_nobody(uid_t uid);

/** Add a guest, of @most that the user may have.  False: there would be too many. */
bool users_guest_enter(uid_t uid, unsigned int most);
void users_guest_leave(uid_t uid);

/**
 * Add a client, with an arena of which @bytes will be mapped.  False: too few descriptors or too
 * little address space would be left for others.  Root, and the user that the collector runs as,
 * may have all.
 */
bool users_client_enter(uid_t uid, uint64_t bytes);
void users_client_leave(uid_t uid, uint64_t bytes);

#endif
