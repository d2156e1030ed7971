// SPDX-License-Identifier: GPL-2.0-only
/*
 * collector_fd.c - a collector's descriptor
 *
 * It shows an arena's memory (mmap(), pread(), SEEK_DATA and SEEK_HOLE) without ever adding to it.
 * It takes the same calls as the owner's descriptor, and those for figures and settings.  It keeps
 * the arena's number and state, but not its memory, which goes with the owner.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "internal.h"

static int collector_release(struct inode *inode, struct file *file)
{
	struct tricolor_file *tf = file->private_data;

	atomic_dec(&tf->arena->collectors);
	wake_up_all(&tf->arena->wait);
	tricolor_arena_put(tf->arena);
	kfree(tf);
	return 0;
}

static int collector_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tricolor_file *tf = file->private_data;

	return tricolor_mmap(tf->arena, vma, true);
}

static unsigned long collector_get_unmapped_area(struct file *file, unsigned long addr,
						 unsigned long len, unsigned long pgoff,
						 unsigned long flags)
{
	struct tricolor_file *tf = file->private_data;
	struct file *shm = tf->arena->shm;

	return shm->f_op->get_unmapped_area(shm, addr, len, pgoff, flags);
}

static ssize_t collector_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct tricolor_file *tf = iocb->ki_filp->private_data;

	return vfs_iter_read(tf->arena->shm, to, &iocb->ki_pos, 0);
}

static loff_t collector_llseek(struct file *file, loff_t offset, int whence)
{
	struct tricolor_file *tf = file->private_data;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	return tricolor_seek(tf->arena, offset, whence);
}

static __poll_t collector_poll(struct file *file, poll_table *wait)
{
	struct tricolor_file *tf = file->private_data;
	struct tricolor_arena *arena = tf->arena;
	__poll_t mask = 0;

	poll_wait(file, &arena->wait, wait);
	if (READ_ONCE(arena->tunables.sequence) != READ_ONCE(tf->seen))
		mask |= EPOLLPRI;
	if (tricolor_is_orphan(arena))
		mask |= EPOLLHUP;
	return mask;
}

static const struct file_operations collector_fops = {
	.owner = THIS_MODULE,
	.release = collector_release,
	.mmap = collector_mmap,
	.get_unmapped_area = collector_get_unmapped_area,
	.read_iter = collector_read_iter,
	.llseek = collector_llseek,
	.poll = collector_poll,
	.show_fdinfo = tricolor_show_fdinfo,
	.unlocked_ioctl = tricolor_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * tricolor_collector_open - another descriptor for @arena
 *
 * The descriptor is in @fd, and is installed when all else has gone well: see tricolor_ioctl().
 */
int tricolor_collector_open(struct tricolor_call *call, struct tricolor_arena *arena, s32 *fd)
{
	struct tricolor_file *tf;
	struct file *file;
	int err;

	tf = kzalloc(sizeof(*tf), GFP_KERNEL_ACCOUNT);
	if (!tf)
		return -ENOMEM;
	tf->kind = KIND_COLLECTOR;
	mutex_init(&tf->lock);
	tf->arena = arena;
	err = get_unused_fd_flags(O_CLOEXEC);
	if (err < 0)
		goto err_free;
	call->new_fd = err;
	file = anon_inode_getfile("[tricolor-collector]", &collector_fops, tf, O_RDWR);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_put_fd;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	/* The caller's reference may be put before this one. */
	get_file(arena->shm);
	atomic_inc(&arena->collectors);
	wake_up_all(&arena->wait);
	call->new_file = file;
	*fd = call->new_fd;
	return 0;

err_put_fd:
	put_unused_fd(call->new_fd);
err_free:
	kfree(tf);
	return err;
}
