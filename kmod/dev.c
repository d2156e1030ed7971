// SPDX-License-Identifier: GPL-2.0-only
/*
 * dev.c - the device, and calls on descriptors of any kind
 */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

#define MAX_RANGES (1u << 20)

union args {
	struct tricolor_query query;
	struct tricolor_create create;
	struct tricolor_collector collector;
	struct tricolor_info info;
	struct tricolor_ranges ranges;
	struct tricolor_dirty dirty;
	struct tricolor_pacer pacer;
	struct tricolor_tunables tunables;
};

static int do_query(struct tricolor_call *call, union args *args)
{
	struct tricolor_query *q = &args->query;

	if (q->flags || q->reserved)
		return -EINVAL;
	q->version = TRICOLOR_VERSION;
	q->features = tricolor_feature_bits();
	q->max_arena_bytes = READ_ONCE(tricolor_max_arena_bytes);
	q->max_user_bytes = READ_ONCE(tricolor_max_user_bytes);
	q->max_user_arenas = READ_ONCE(tricolor_max_user_arenas);
	q->max_ranges = MAX_RANGES;
	return 0;
}

static int do_create(struct tricolor_call *call, union args *args)
{
	struct tricolor_file *tf = call->tf;
	struct tricolor_arena *arena;
	int err = 0;

	mutex_lock(&tf->lock);
	if (tf->arena) {
		err = -EBUSY;
	} else {
		arena = tricolor_arena_create(&args->create);
		err = PTR_ERR_OR_ZERO(arena);
		/* pairs with smp_load_acquire() in arena_of() */
		if (!err)
			smp_store_release(&tf->arena, arena);
	}
	mutex_unlock(&tf->lock);
	if (!err)
		args->create.id = arena->id;
	return err;
}

static int do_collector(struct tricolor_call *call, union args *args)
{
	if (args->collector.flags || args->collector.reserved)
		return -EINVAL;
	return tricolor_collector_open(call, call->arena, &args->collector.fd);
}

static int do_info(struct tricolor_call *call, union args *args)
{
	if (args->info.flags)
		return -EINVAL;
	tricolor_arena_info(call->arena, &args->info);
	return 0;
}

static int do_reclaim(struct tricolor_call *call, union args *args)
{
	struct tricolor_ranges *r = &args->ranges;

	r->done = 0;
	r->bytes = 0;
	if (r->flags || r->nr > MAX_RANGES)
		return -EINVAL;
	return tricolor_is_orphan(call->arena) ? -ESHUTDOWN : tricolor_reclaim(call->arena, r);
}

static int do_dirty(struct tricolor_call *call, union args *args)
{
	if (tricolor_is_orphan(call->arena))
		return -ESHUTDOWN;
	return tricolor_dirty(call->arena, &args->dirty);
}

static int do_publish(struct tricolor_call *call, union args *args)
{
	if (tricolor_is_orphan(call->arena))
		return -ESHUTDOWN;
	return tricolor_publish(call->arena, &args->pacer);
}

static int do_tunables(struct tricolor_call *call, union args *args)
{
	if (args->tunables.flags || args->tunables.reserved)
		return -EINVAL;
	if (tricolor_is_orphan(call->arena))
		return -ESHUTDOWN;
	tricolor_tunables_read(call->arena, &args->tunables, READ_ONCE(call->tf->seen));
	WRITE_ONCE(call->tf->seen, args->tunables.sequence);
	return 0;
}

#define BOTH (KIND_OWNER | KIND_COLLECTOR)

static const struct ioctl {
	unsigned int cmd;
	unsigned int kinds;
	size_t first_size;
	size_t size;
	int (*run)(struct tricolor_call *call, union args *args);
} ioctls[] = {
/* @last: the last field of the first version, which each caller has at least. */
#define IOCTL(name, run_, kinds_, type, last) \
	[_IOC_NR(TRICOLOR_IOC_##name)] = { TRICOLOR_IOC_##name, kinds_, \
		offsetofend(struct type, last), sizeof(struct type), run_ }
	IOCTL(QUERY, do_query, BOTH, tricolor_query, max_ranges),
	IOCTL(CREATE, do_create, KIND_OWNER, tricolor_create, reserved),
	IOCTL(COLLECTOR, do_collector, KIND_OWNER, tricolor_collector, reserved),
	IOCTL(INFO, do_info, BOTH, tricolor_info, reclaimed_bytes),
	IOCTL(RECLAIM, do_reclaim, BOTH, tricolor_ranges, bytes),
	IOCTL(DIRTY, do_dirty, BOTH, tricolor_dirty, dirty_pages),
	IOCTL(PUBLISH, do_publish, KIND_COLLECTOR, tricolor_pacer, reserved),
	IOCTL(TUNABLES, do_tunables, KIND_COLLECTOR, tricolor_tunables, reserved),
};

static struct tricolor_arena *arena_of(struct tricolor_file *tf)
{
	/* pairs with smp_store_release() in do_create() */
	return smp_load_acquire(&tf->arena);
}

long tricolor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tricolor_file *tf = file->private_data;
	struct tricolor_call call = { .tf = tf, .arena = arena_of(tf) };
	void __user *uargs = (void __user *)arg;
	const struct ioctl *ioctl;
	union args args = {};
	u32 size;
	int err;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(ioctls))
		return -ENOTTY;
	ioctl = &ioctls[array_index_nospec(_IOC_NR(cmd), ARRAY_SIZE(ioctls))];
	if (!ioctl->run || ioctl->cmd != cmd || !(ioctl->kinds & tf->kind))
		return -ENOTTY;
	if (!call.arena && ioctl->run != do_query && ioctl->run != do_create)
		return -ENXIO;
	if (get_user(size, (u32 __user *)uargs))
		return -EFAULT;
	if (size < ioctl->first_size)
		return -EINVAL;
	/* No struct will ever be that large, and all of the rest would have to be read. */
	if (size > PAGE_SIZE)
		return -E2BIG;
	/* It returns -E2BIG if the rest is not 0. */
	err = copy_struct_from_user(&args, ioctl->size, uargs, size);
	if (err)
		return err;
	err = ioctl->run(&call, &args);
	/* The size was read twice, and the one that was checked counts. */
	*(u32 *)&args = size;
	/* A call that fails may have results all the same, such as how far it came. */
	if (copy_to_user(uargs, &args, min_t(size_t, size, ioctl->size)) && !err)
		err = -EFAULT;
	if (call.new_file) {
		if (err) {
			put_unused_fd(call.new_fd);
			fput(call.new_file);
		} else {
			fd_install(call.new_fd, call.new_file);
		}
	}
	return err;
}

/**
 * tricolor_show_fdinfo - /proc/PID/fdinfo of any descriptor
 *
 * It shows what TRICOLOR_IOC_INFO says, to those who may see the files of the process that has it.
 * It has no number of a process or a user, which would be another namespace's.
 */
void tricolor_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct tricolor_file *tf = file->private_data;
	struct tricolor_arena *arena = arena_of(tf);
	struct tricolor_info info;

	seq_printf(m, "tricolor-kind:\t%s\n", tf->kind == KIND_OWNER ? "owner" : "collector");
	if (!arena)
		return;
	tricolor_arena_info(arena, &info);
	seq_printf(m, "tricolor-arena:\t%u\n", info.id);
	seq_printf(m, "tricolor-state:\t%s\n", tricolor_arena_state(arena));
	seq_printf(m, "tricolor-dirty:\t%s\n",
		   info.state & TRICOLOR_STATE_DIRTY ? "tracked" : "off");
	seq_printf(m, "tricolor-size:\t%llu\n", info.bytes);
	seq_printf(m, "tricolor-resident:\t%llu\n", info.resident_bytes);
}

static int owner_open(struct inode *inode, struct file *file)
{
	struct tricolor_file *tf = kzalloc(sizeof(*tf), GFP_KERNEL_ACCOUNT);

	if (!tf)
		return -ENOMEM;
	tf->kind = KIND_OWNER;
	mutex_init(&tf->lock);
	file->private_data = tf;
	return 0;
}

static int owner_release(struct inode *inode, struct file *file)
{
	struct tricolor_file *tf = file->private_data;

	if (tf->arena) {
		tricolor_owner_put(tf->arena);
		tricolor_arena_put(tf->arena);
	}
	kfree(tf);
	return 0;
}

static int owner_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tricolor_arena *arena = arena_of(file->private_data);

	return arena ? tricolor_mmap(arena, vma, false) : -ENXIO;
}

/* Find an address where huge pages fit, for arenas that have them. */
static unsigned long owner_get_unmapped_area(struct file *file, unsigned long addr,
					     unsigned long len, unsigned long pgoff,
					     unsigned long flags)
{
	struct tricolor_arena *arena = arena_of(file->private_data);

	if (!arena)
		return -ENXIO;
	return arena->shm->f_op->get_unmapped_area(arena->shm, addr, len, pgoff, flags);
}

static __poll_t owner_poll(struct file *file, poll_table *wait)
{
	struct tricolor_file *tf = file->private_data;
	struct tricolor_arena *arena = arena_of(tf);
	__poll_t mask = 0;

	if (!arena)
		return EPOLLERR;
	poll_wait(file, &arena->wait, wait);
	if (atomic_read(&arena->collectors))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static const struct file_operations owner_fops = {
	.owner = THIS_MODULE,
	.open = owner_open,
	.release = owner_release,
	.mmap = owner_mmap,
	.get_unmapped_area = owner_get_unmapped_area,
	.poll = owner_poll,
	.show_fdinfo = tricolor_show_fdinfo,
	.unlocked_ioctl = tricolor_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice owner_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tricolor",
	.mode = 0666,
	.fops = &owner_fops,
};

u64 tricolor_feature_bits(void)
{
	u64 bits = TRICOLOR_FEATURE_RECLAIM | TRICOLOR_FEATURE_SYSFS | TRICOLOR_FEATURE_NETLINK;

	if (tricolor_dirty_possible())
		bits |= TRICOLOR_FEATURE_DIRTY;
	if (tricolor_have_huge)
		bits |= TRICOLOR_FEATURE_HUGE;
	return bits;
}

int tricolor_dev_init(void)
{
	return misc_register(&owner_device);
}

void tricolor_dev_exit(void)
{
	misc_deregister(&owner_device);
}
