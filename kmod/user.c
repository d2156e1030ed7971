// SPDX-License-Identifier: GPL-2.0-only
/*
 * user.c - what each user has, and may have
 *
 * A user's record exists while the user has arenas.  Everything here is under arenas_lock.
 */
#include <linux/capability.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

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

/* One more arena of @bytes.  As with RLIMITs, CAP_SYS_RESOURCE goes beyond. */
struct tricolor_user *tricolor_user_charge(kuid_t uid, u64 bytes)
{
	struct tricolor_user *user = find(uid);

	if (!user) {
		user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
		if (!user)
			return ERR_PTR(-ENOMEM);
		user->uid = uid;
		list_add(&user->node, &users);
	}
	if (above(user, bytes) && !capable(CAP_SYS_RESOURCE)) {
		if (!user->arenas) {
			list_del(&user->node);
			kfree(user);
		}
		return ERR_PTR(-EDQUOT);
	}
	user->arenas++;
	user->bytes += bytes;
	return user;
}

void tricolor_user_uncharge(struct tricolor_user *user, u64 bytes)
{
	user->bytes -= bytes;
	if (--user->arenas)
		return;
	list_del(&user->node);
	kfree(user);
}
