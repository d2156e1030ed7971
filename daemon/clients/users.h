/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * users.h - what each user has of this collector, so that no user has it all
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
 * Descriptors of a client: socket, arena, that again for others to look at, holes, doorbell,
 * process and that again for others, and the quotas of its CPUs.  One that has a marker has its
 * link again in place of holes and doorbell.  The files of its memory cgroups are theirs: levels.c
 * bounds them.
 */
#define USERS_CLIENT_FILES 15

/**
 * Whether @uid stands for all users that our namespace has no number for, of which no two are known
 * to be the same.
 */
bool users_is_nobody(uid_t uid);

/** One more guest, of @most that the user may have.  False: too many. */
bool users_guest_enter(uid_t uid, unsigned int most);
void users_guest_leave(uid_t uid);

/**
 * One more client, with an arena of which @bytes will be mapped.  False: others would find no
 * descriptor or no address space left.  Root, and the user that the collector runs as, may have
 * all.
 */
bool users_client_enter(uid_t uid, uint64_t bytes);
void users_client_leave(uid_t uid, uint64_t bytes);

#endif
