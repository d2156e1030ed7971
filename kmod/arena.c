// SPDX-License-Identifier: GPL-2.0-only
/*
 * arena.c - making arenas, finding them, and ending them
 *
 *  1. An arena's memory is a shmem file of our own mount (one with 4 KiB pages, one with 2 MiB
 *     pages, so that the system's setting for shared memory does not matter).  The file gets a copy
 *     of shmem's operations that names this module as owner, has a release function, and has no
 *     mmap(): see tricolor_shmem_mmap().
 *  2. References to the arena are references to that file.  arenas[] holds none.  An arena that is
 *     found there under arenas_lock may be on its way out.  Then its count is 0 already, but its
 *     memory stays until release has taken it from the list, which needs the lock.
 *  3. When the last owner goes (tricolor_owner_put()), all memory is freed and the file's size
 *     becomes 0, so that all who still have it mapped get SIGBUS.  That includes root, who can
 *     reopen it through /proc/PID/map_files without us.  A worker takes the arena out of sysfs and
 *     drops the network namespace, as a task that unmaps may hold locks.
 *  4. When the last reference goes, release does the same if the worker has not yet, or waits for
 *     it, and takes the arena from the list.  The worker has a reference to the arena's struct
 *     only.
 */
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#include "internal.h"
#include "trace.h"

/* Half of what a process can address, as larger arenas could not be mapped. */
#define ARENA_MAX_BYTES (1ull << 46)

static DEFINE_MUTEX(arenas_lock);
static DEFINE_XARRAY_ALLOC1(arenas);	/* number to arena; NULL while it is being made */
static u32 last_id;
static DEFINE_MUTEX(detach_lock);
static LLIST_HEAD(orphans);		/* with references to their structs */

static struct vfsmount *small_mount, *huge_mount;
/* One file of each mount, which keeps shmem's own operations. */
static struct file *small_anchor, *huge_anchor;
bool tricolor_have_huge;

static struct file_operations shm_fops;	/* shmem's, with those of this file in place of some */

static void arena_free(struct device *dev)
{
	struct tricolor_arena *arena = container_of(dev, struct tricolor_arena, dev);

	put_pid(arena->owner_pid);
	if (arena->net)
		put_net(arena->net);
	kfree(arena);
}

/*
 * Find an address where huge pages fit, for arenas that have them.  shmem's function wants a file
 * with shmem's own operations, and uses only its mount.
 */
static unsigned long shm_get_unmapped_area(struct file *shm, unsigned long addr, unsigned long len,
					   unsigned long pgoff, unsigned long flags)
{
	struct tricolor_arena *arena = shm->private_data;
	struct file *anchor = arena->create_flags & TRICOLOR_CREATE_HUGE ? huge_anchor :
									   small_anchor;

	return anchor->f_op->get_unmapped_area(anchor, addr, len, pgoff, flags);
}

/**
 * tricolor_shmem_mmap - shmem's own mmap(), for a mapping whose file is @arena's
 *
 * The file itself has none.  It is in every mapping, so a process that has one can have the kernel
 * map the file again without us, by remap_file_pages().  The new mapping would have shmem's
 * operations and flags: it would be inherited, executable and huge, count for no owner, and let a
 * collector fill holes.  As the file has no mmap(), this is refused with ENODEV, before anything of
 * the old mapping is gone.
 */
int tricolor_shmem_mmap(struct tricolor_arena *arena, struct vm_area_struct *vma)
{
	return tricolor_mmap_by(small_anchor->f_op, arena->shm, vma);
}

/* Take the arena out of sysfs, whose files use the shmem file, and drop its namespace; once. */
static void detach(struct tricolor_arena *arena)
{
	mutex_lock(&detach_lock);
	if (arena->net) {
		tricolor_sysfs_del(arena);
		put_net(arena->net);
		arena->net = NULL;
	}
	mutex_unlock(&detach_lock);
}

static void detach_orphans(struct work_struct *work)
{
	struct llist_node *gone = llist_del_all(&orphans);
	struct tricolor_arena *arena, *next;

	llist_for_each_entry_safe(arena, next, gone, orphans) {
		detach(arena);
		put_device(&arena->dev);
	}
}
static DECLARE_WORK(detach_work, detach_orphans);

static int shm_release(struct inode *inode, struct file *shm)
{
	struct tricolor_arena *arena = shm->private_data;

	detach(arena);
	mutex_lock(&arenas_lock);
	xa_erase(&arenas, arena->id);
	tricolor_user_uncharge(arena);
	mutex_unlock(&arenas_lock);

	trace_tricolor_arena_gone(arena);
	tricolor_netlink_event(arena, TRICOLOR_CMD_ARENA_GONE);
	put_device(&arena->dev);
	return 0;
}

/*
 * From here on shm_release() undoes everything.  The reference to the module belongs to the file,
 * and is put after release, with the file's operations.
 */
static void adopt(struct tricolor_arena *arena)
{
	/* So a file that root reopens can't change the size either, nor grow after the end. */
	SHMEM_I(file_inode(arena->shm))->seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	__module_get(THIS_MODULE);
	arena->shm->private_data = arena;
	arena->shm->f_op = &shm_fops;
}

static int check_size(const struct tricolor_create *args)
{
	u64 unit = args->flags & TRICOLOR_CREATE_HUGE ? 1ull << HUGE_SHIFT : PAGE_SIZE;
	u64 max = READ_ONCE(tricolor_max_arena_bytes);

	if (!args->bytes || args->bytes & (unit - 1))
		return -EINVAL;
	if (args->bytes > ARENA_MAX_BYTES || (max && args->bytes > max))
		return -EFBIG;
	return args->bytes > rlimit(RLIMIT_FSIZE) ? -EFBIG : 0;
}

static struct tricolor_arena *alloc_arena(const struct tricolor_create *args)
{
	struct tricolor_arena *arena = kzalloc(sizeof(*arena), GFP_KERNEL_ACCOUNT);

	if (!arena)
		return NULL;
	device_initialize(&arena->dev);
	arena->dev.release = arena_free;
	arena->bytes = args->bytes;
	arena->create_flags = args->flags;
	arena->owner_pid = get_pid(task_tgid(current));
	arena->net = get_net(current->nsproxy->net_ns);
	arena->net_cookie = arena->net->net_cookie;
	arena->owner_uid = current_uid();
	atomic_set(&arena->owners, 1);
	init_waitqueue_head(&arena->wait);
	mutex_init(&arena->dirty_lock);
	spin_lock_init(&arena->state_lock);
	tricolor_publish_init(arena);
	tricolor_tunables_init(arena);
	return arena;
}

/*
 * Get a number, and count for the user.  The place in the list stays empty until the arena is
 * complete.
 */
static int enlist(struct tricolor_arena *arena)
{
	int err;

	mutex_lock(&arenas_lock);
	err = tricolor_user_charge(arena);
	if (!err) {
		err = xa_alloc_cyclic(&arenas, &arena->id, NULL, XA_LIMIT(1, INT_MAX), &last_id,
				      GFP_KERNEL_ACCOUNT);
		if (err < 0)
			tricolor_user_uncharge(arena);
	}
	mutex_unlock(&arenas_lock);
	/* It returns 1 when the numbers have wrapped. */
	return err < 0 ? err : 0;
}

static void delist(struct tricolor_arena *arena)
{
	mutex_lock(&arenas_lock);
	xa_erase(&arenas, arena->id);
	tricolor_user_uncharge(arena);
	mutex_unlock(&arenas_lock);
}

/**
 * tricolor_arena_create - an arena for the calling process
 *
 * It has one owner and one reference, which end by tricolor_owner_put() and then
 * tricolor_arena_put().
 */
struct tricolor_arena *tricolor_arena_create(const struct tricolor_create *args)
{
	struct tricolor_arena *arena;
	struct vfsmount *mount;
	struct file *shm;
	int err;

	if (args->flags & ~TRICOLOR_CREATE_HUGE || args->reserved)
		return ERR_PTR(-EINVAL);
	if (args->flags & TRICOLOR_CREATE_HUGE && !tricolor_have_huge)
		return ERR_PTR(-EOPNOTSUPP);
	err = check_size(args);
	if (err)
		return ERR_PTR(err);

	arena = alloc_arena(args);
	if (!arena)
		return ERR_PTR(-ENOMEM);
	err = enlist(arena);
	if (err)
		goto err_put_device;
	mount = args->flags & TRICOLOR_CREATE_HUGE ? huge_mount : small_mount;
	shm = shmem_file_setup_with_mnt(mount, "tricolor", (loff_t)arena->bytes,
					TRICOLOR_NORESERVE);
	if (IS_ERR(shm)) {
		/* Our mounts have no limits, so ENOSPC says that memory is full. */
		err = PTR_ERR(shm) == -ENOSPC ? -ENOMEM : PTR_ERR(shm);
		goto err_delist;
	}
	arena->shm = shm;
	err = tricolor_sysfs_add(arena);
	if (err)
		goto err_fput;
	adopt(arena);
	trace_tricolor_arena_new(arena);
	/* From now on it can be found. */
	mutex_lock(&arenas_lock);
	xa_store(&arenas, arena->id, arena, GFP_KERNEL);
	mutex_unlock(&arenas_lock);
	tricolor_netlink_event(arena, TRICOLOR_CMD_ARENA_NEW);
	return arena;

err_fput:
	fput(shm);
err_delist:
	delist(arena);
err_put_device:
	put_device(&arena->dev);
	return ERR_PTR(err);
}

/** tricolor_arena_get - the arena of that number, with a reference; NULL: there is none */
struct tricolor_arena *tricolor_arena_get(u32 id)
{
	struct tricolor_arena *arena;

	mutex_lock(&arenas_lock);
	arena = xa_load(&arenas, id);
	if (arena && !tricolor_get_file(arena->shm))
		arena = NULL;
	mutex_unlock(&arenas_lock);
	return arena;
}

/** tricolor_arena_next - the first arena from that number on, with a reference, or NULL */
struct tricolor_arena *tricolor_arena_next(u32 from)
{
	struct tricolor_arena *arena, *found = NULL;
	unsigned long id;

	mutex_lock(&arenas_lock);
	xa_for_each_start(&arenas, id, arena, from) {
		if (tricolor_get_file(arena->shm)) {
			found = arena;
			break;
		}
	}
	mutex_unlock(&arenas_lock);
	return found;
}

void tricolor_arena_put(struct tricolor_arena *arena)
{
	fput(arena->shm);
}

/**
 * tricolor_owner_put - drop a descriptor or mapping of the owner
 *
 * Called with the mmap_lock of the process whose mapping it was.  So the inode's lock can't be
 * taken here, as others take mmap_lock within it.  shmem needs no lock to truncate, and on a 64-bit
 * machine the size is set by one store.
 */
void tricolor_owner_put(struct tricolor_arena *arena)
{
	struct address_space *mapping = tricolor_mapping(arena);

	if (!atomic_dec_and_test(&arena->owners))
		return;
	WRITE_ONCE(arena->orphan, true);
	i_size_write(mapping->host, 0);
	/* A fault that still saw the old size reads it again once it has its page. */
	unmap_mapping_range(mapping, 0, 0, 1);
	shmem_truncate_range(mapping->host, 0, (loff_t)-1);
	trace_tricolor_arena_orphan(arena);
	wake_up_all(&arena->wait);
	get_device(&arena->dev);
	llist_add(&arena->orphans, &orphans);
	schedule_work(&detach_work);
}

/** tricolor_arena_state - as sysfs and fdinfo name it */
const char *tricolor_arena_state(const struct tricolor_arena *arena)
{
	if (tricolor_is_orphan(arena))
		return "orphan";
	return atomic_read(&arena->collectors) ? "attached" : "alone";
}

/**
 * tricolor_arena_info - fill in what the reader's namespaces may see of it
 *
 * @info->size is left as it is.
 */
void tricolor_arena_info(struct tricolor_arena *arena, struct tricolor_info *info)
{
	info->id = arena->id;
	info->create_flags = arena->create_flags;
	info->state = (tricolor_is_orphan(arena) ? TRICOLOR_STATE_ORPHAN : 0) |
		      (READ_ONCE(arena->dirty_tracked) ? TRICOLOR_STATE_DIRTY : 0);
	info->collectors = atomic_read(&arena->collectors);
	info->owner_pid = pid_vnr(arena->owner_pid);
	info->owner_uid = from_kuid_munged(current_user_ns(), arena->owner_uid);
	info->bytes = arena->bytes;
	info->resident_bytes = tricolor_resident_bytes(arena);
	info->reclaimed_bytes = atomic64_read(&arena->reclaimed_bytes);
}

static struct vfsmount *make_mount(const char *options)
{
	struct file_system_type *type = get_fs_type("tmpfs");
	struct vfsmount *mnt;
	char *copy;

	/* tmpfs is no module, so there is no reference to be put. */
	if (!type)
		return ERR_PTR(-ENODEV);
	/* The parser writes into the string. */
	copy = kstrdup(options, GFP_KERNEL);
	mnt = copy ? vfs_kern_mount(type, SB_KERNMOUNT, "tricolor", copy) : ERR_PTR(-ENOMEM);
	kfree(copy);
	return mnt;
}

static struct file *make_anchor(struct vfsmount *mnt)
{
	return shmem_file_setup_with_mnt(mnt, "tricolor", PAGE_SIZE, TRICOLOR_NORESERVE);
}

int tricolor_arena_init(void)
{
	int err;

	small_mount = make_mount("huge=never");
	/* A kernel without huge pages does not know the option. */
	if (IS_ERR(small_mount))
		small_mount = make_mount("");
	if (IS_ERR(small_mount))
		return PTR_ERR(small_mount);
	small_anchor = make_anchor(small_mount);
	if (IS_ERR(small_anchor)) {
		err = PTR_ERR(small_anchor);
		goto err_unmount;
	}
	huge_mount = make_mount("huge=always");
	huge_anchor = IS_ERR(huge_mount) ? ERR_CAST(huge_mount) : make_anchor(huge_mount);
	tricolor_have_huge = IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && !IS_ERR(huge_anchor);

	/* shmem does not export its operations, but each of its files has them. */
	shm_fops = *small_anchor->f_op;
	shm_fops.owner = THIS_MODULE;
	shm_fops.release = shm_release;
	tricolor_clear_mmap(&shm_fops);
	shm_fops.get_unmapped_area = shm_get_unmapped_area;
	return 0;

err_unmount:
	kern_unmount(small_mount);
	return err;
}

/**
 * tricolor_arena_flush - wait for the worker, which may have the last reference to an arena's
 * struct
 */
void tricolor_arena_flush(void)
{
	flush_work(&detach_work);
}

/* The files are freed when the task returns to user mode, and keep their mounts until then. */
void tricolor_arena_exit(void)
{
	if (!IS_ERR(huge_anchor))
		fput(huge_anchor);
	if (!IS_ERR(huge_mount))
		kern_unmount(huge_mount);
	fput(small_anchor);
	kern_unmount(small_mount);
}
