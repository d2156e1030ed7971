// SPDX-License-Identifier: GPL-2.0-only
/*
 * quota.c - how many arenas each user has, and may have
 *
 * A user's record exists while arenas are charged to the user.  An arena is charged to its maker,
 * and to the owner of each user namespace that the maker is in, as the kernel's own limits are.
 * Otherwise a user with 65,536 subordinate users could have as many times what one may have.  All
 * of this is under arenas_lock.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "internal.h"

unsigned long tricolor_max_arena_bytes;
module_param_named(max_arena_bytes, tricolor_max_arena_bytes, ulong, 0644);
MODULE_PARM_DESC(max_arena_bytes, "Largest arena in bytes of address space (0: no limit)");

unsigned long tricolor_max_user_bytes;
module_param_named(max_user_bytes, tricolor_max_user_bytes, ulong, 0644);
MODULE_PARM_DESC(max_user_bytes, "Bytes of address space of one user's arenas (0: no limit)");

unsigned int tricolor_max_user_arenas = 1024;
module_param_named(max_user_arenas, tricolor_max_user_arenas, uint, 0644);
MODULE_PARM_DESC(max_user_arenas, "Number of one user's arenas (0: no limit; 1024)");

struct tricolor_user {
	struct list_head node;
	kuid_t uid;
	unsigned int arenas;
	u64 bytes;
};

static LIST_HEAD(users);

static struct tricolor_user *find(kuid_t uid)
{
	struct tricolor_user *user;

	list_for_each_entry(user, &users, node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

static bool above(const struct tricolor_user *user, u64 bytes)
{
	unsigned int max_arenas = READ_ONCE(tricolor_max_user_arenas);
	unsigned long max_bytes = READ_ONCE(tricolor_max_user_bytes);

	if (max_arenas && user->arenas >= max_arenas)
		return true;
	return max_bytes && (user->bytes > max_bytes || bytes > max_bytes - user->bytes);
}

static struct tricolor_user *find_or_make(kuid_t uid)
{
	struct tricolor_user *user = find(uid);

	if (user)
		return user;
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return NULL;
	user->uid = uid;
	list_add(&user->node, &users);
	return user;
}

static void drop_unused(struct tricolor_user *user)
{
	if (user->arenas)
		return;
	list_del(&user->node);
	kfree(user);
}

static bool is_charged(const struct tricolor_arena *arena, kuid_t uid)
{
	unsigned int i;

	for (i = 0; i < arena->nr_users; i++)
		if (uid_eq(arena->users[i]->uid, uid))
			return true;
	return false;
}

/* As with RLIMITs, a task with CAP_SYS_RESOURCE may exceed it. */
static int charge(struct tricolor_arena *arena, kuid_t uid)
{
	struct tricolor_user *user;

	/* The root of a namespace may be its owner, who is charged once. */
	if (is_charged(arena, uid))
		return 0;
	user = find_or_make(uid);
	if (!user)
		return -ENOMEM;
	if (above(user, arena->bytes) && !capable(CAP_SYS_RESOURCE)) {
		drop_unused(user);
		return -EDQUOT;
	}
	user->arenas++;
	user->bytes += arena->bytes;
	arena->users[arena->nr_users++] = user;
	return 0;
}

/** tricolor_user_charge - charge an arena of the calling process */
int tricolor_user_charge(struct tricolor_arena *arena)
{
	struct user_namespace *ns = current_user_ns();
	int err;

	arena->users = kcalloc(ns->level + 1, sizeof(*arena->users), GFP_KERNEL_ACCOUNT);
	if (!arena->users)
		return -ENOMEM;
	err = charge(arena, arena->owner_uid);
	for (; !err && ns->parent; ns = ns->parent)
		err = charge(arena, ns->owner);
	if (err)
		tricolor_user_uncharge(arena);
	return err;
}

void tricolor_user_uncharge(struct tricolor_arena *arena)
{
	while (arena->nr_users) {
		struct tricolor_user *user = arena->users[--arena->nr_users];

		user->arenas--;
		user->bytes -= arena->bytes;
		drop_unused(user);
	}
	kfree(arena->users);
	arena->users = NULL;
}
