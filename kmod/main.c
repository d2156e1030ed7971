// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - loading and unloading
 *
 * Unloading is refused while there is a descriptor or a mapping, as the operations of their files
 * name the module as owner.  So nothing below has to wait for users.
 */
#include <linux/module.h>

#include "internal.h"

static int __init tricolor_init(void)
{
	int err;

	err = tricolor_arena_init();
	if (err)
		return err;
	err = tricolor_sysfs_init();
	if (err)
		goto err_arena_exit;
	err = tricolor_netlink_init();
	if (err)
		goto err_sysfs_exit;
	/* This is last, as from here on there are users. */
	err = tricolor_dev_init();
	if (err)
		goto err_netlink_exit;
	return 0;

err_netlink_exit:
	tricolor_netlink_exit();
err_sysfs_exit:
	tricolor_sysfs_exit();
err_arena_exit:
	tricolor_arena_exit();
	return err;
}

static void __exit tricolor_exit(void)
{
	tricolor_dev_exit();
	tricolor_arena_flush();
	tricolor_netlink_exit();
	tricolor_sysfs_exit();
	tricolor_arena_exit();
}

module_init(tricolor_init);
module_exit(tricolor_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Arenas of garbage-collected heaps that are collected from outside");
MODULE_VERSION("1");
