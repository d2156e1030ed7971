/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - objects of the module, their lifetimes and locks
 *
 * Lifetime.  An arena is a shmem file that nobody sees, with our release function.  Descriptors
 * (the owner's and collectors') and mappings hold references to that file, as it is the vm_file of
 * each mapping.  So arena and memory go with the last of them, in any order, and the file's
 * operations keep the module loaded until then.  The *owners* are the owner's descriptor and its
 * mappings.  When the last of them is gone, the arena is an orphan.  It loses its memory at once,
 * although a collector may hold the file for as long as it likes.  A worker drops what would keep a
 * container from ending: the network namespace, and the folder in sysfs, which is tagged with that.
 * What is left is a number and a few counters.
 *
 * Lock order, outermost first:
 *
 *	tricolor_file.lock	creation, once a descriptor
 *	tricolor_arena.dirty_lock
 *	detach_lock		(arena.c) taking an arena out of sysfs
 *	arenas_lock		(arena.c) the list of arenas, and users
 *	the kernel's own: inode's i_mmap_rwsem, folio lock, i_pages
 *	tricolor_arena.state_lock	innermost; nothing is called under it
 *	vm_ops_lock		(mmap.c) innermost as well
 *
 * mmap() and munmap() call us with the process's mmap_lock, and only vm_ops_lock and the kernel's
 * own locks are taken there.  None of ours is held where the caller's memory is touched.
 */
#ifndef TRICOLOR_INTERNAL_H
#define TRICOLOR_INTERNAL_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/tricolor.h>
#include <linux/tricolor_netlink.h>

#include "compat.h"

#define HUGE_SHIFT 21

struct tricolor_user;

struct tricolor_arena {
	/* Set before anyone else can see the arena, and not changed before its release. */
	struct device dev;			/* sysfs; its reference count is this memory's */
	struct file *shm;			/* counts references to the arena: see above */
	struct tricolor_user **users;		/* quota.c: to whom it is charged */
	unsigned int nr_users;
	struct pid *owner_pid;
	u64 net_cookie;				/* of the owner's network namespace then */
	kuid_t owner_uid;
	u32 id;
	u32 create_flags;			/* TRICOLOR_CREATE_* */
	u64 bytes;

	/* Any thread. */
	atomic_t owners;			/* owner's descriptor and mappings */
	atomic_t collectors;			/* descriptors */
	bool orphan;				/* set once, when owners becomes 0 */
	wait_queue_head_t wait;			/* poll() on any descriptor */
	atomic64_t reclaimed_bytes;

	/* What would keep a container from going: while there are owners. */
	struct net *net;			/* detach_lock; of net_cookie, for sysfs */
	struct llist_node orphans;

	struct mutex dirty_lock;
	bool dirty_tracked;			/* under dirty_lock; faults look without */

	/* Under state_lock. */
	spinlock_t state_lock;
	struct tricolor_pacer pacer;		/* publish.c */
	struct tricolor_tunables tunables;	/* tunables.c */
	u64 gc_percent_sequence, memory_limit_sequence;	/* tunables.sequence when last set */
};

/*
 * What is behind a descriptor of any kind.  It is freed with the descriptor, which calls hold.
 */
struct tricolor_file {
	unsigned int kind;			/* KIND_*; one bit */
	struct mutex lock;			/* owner: one creation at a time */
	struct tricolor_arena *arena;		/* owner: once created; with a reference to shm */
	u64 seen;				/* collector: what it was told of tunables */
};

#define KIND_OWNER	1u
#define KIND_COLLECTOR	2u

/*
 * One call.  A descriptor that it makes is installed after its results have reached the caller.
 */
struct tricolor_call {
	struct tricolor_file *tf;
	struct tricolor_arena *arena;		/* of tf; NULL: none yet */
	struct file *new_file;
	int new_fd;
};

/* dev.c */
int tricolor_dev_init(void);
void tricolor_dev_exit(void);
long tricolor_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
void tricolor_show_fdinfo(struct seq_file *m, struct file *file);
u64 tricolor_feature_bits(void);

/* collector_fd.c */
int tricolor_collector_open(struct tricolor_call *call, struct tricolor_arena *arena, s32 *fd);

/* arena.c */
int tricolor_arena_init(void);
void tricolor_arena_flush(void);
void tricolor_arena_exit(void);
struct tricolor_arena *tricolor_arena_create(const struct tricolor_create *args);
struct tricolor_arena *tricolor_arena_get(u32 id);
struct tricolor_arena *tricolor_arena_next(u32 from);
void tricolor_arena_put(struct tricolor_arena *arena);
void tricolor_owner_put(struct tricolor_arena *arena);
int tricolor_shmem_mmap(struct tricolor_arena *arena, struct vm_area_struct *vma);
const char *tricolor_arena_state(const struct tricolor_arena *arena);
void tricolor_arena_info(struct tricolor_arena *arena, struct tricolor_info *info);
extern bool tricolor_have_huge;

static inline struct address_space *tricolor_mapping(const struct tricolor_arena *arena)
{
	return arena->shm->f_mapping;
}

static inline u64 tricolor_resident_bytes(const struct tricolor_arena *arena)
{
	return (u64)READ_ONCE(tricolor_mapping(arena)->nrpages) << PAGE_SHIFT;
}

static inline bool tricolor_is_orphan(const struct tricolor_arena *arena)
{
	return READ_ONCE(arena->orphan);
}

/* quota.c: to be called with arenas_lock held. */
extern unsigned long tricolor_max_arena_bytes, tricolor_max_user_bytes;
extern unsigned int tricolor_max_user_arenas;
int tricolor_user_charge(struct tricolor_arena *arena);
void tricolor_user_uncharge(struct tricolor_arena *arena);

/* seek.c */
loff_t tricolor_seek(struct tricolor_arena *arena, loff_t offset, int whence);

/* mmap.c */
int tricolor_mmap(struct tricolor_arena *arena, struct vm_area_struct *vma, bool collector);

/* reclaim.c */
int tricolor_reclaim(struct tricolor_arena *arena, struct tricolor_ranges *args);

/* dirty.c */
bool tricolor_dirty_possible(void);
int tricolor_dirty(struct tricolor_arena *arena, struct tricolor_dirty *args);
void tricolor_dirty_fault(struct tricolor_arena *arena, const struct vm_fault *vmf);

/* publish.c */
void tricolor_publish_init(struct tricolor_arena *arena);
int tricolor_publish(struct tricolor_arena *arena, const struct tricolor_pacer *args);
void tricolor_pacer_read(struct tricolor_arena *arena, struct tricolor_pacer *pacer);

/* tunables.c */
void tricolor_tunables_init(struct tricolor_arena *arena);
void tricolor_tunables_read(struct tricolor_arena *arena, struct tricolor_tunables *tunables,
			    u64 since);
int tricolor_tunables_set(struct tricolor_arena *arena, u32 set, s32 gc_percent, s64 limit_bytes);

/* sysfs.c */
int tricolor_sysfs_init(void);
void tricolor_sysfs_exit(void);
int tricolor_sysfs_add(struct tricolor_arena *arena);
void tricolor_sysfs_del(struct tricolor_arena *arena);

/* netlink.c */
int tricolor_netlink_init(void);
void tricolor_netlink_exit(void);
void tricolor_netlink_event(struct tricolor_arena *arena, u8 cmd);

#endif
