// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap.c - mappings of the owner and of collectors
 *
 *  1. A mapping of either descriptor becomes one of the arena's shmem file: shmem's own mmap sets
 *     it up, and vm_file is the shmem file, so that the descriptor may be closed, and madvise(),
 *     swapping and huge pages work as on any shared memory.  Then it gets a copy of shmem's
 *     operations with ours added.
 *  2. The owner's are counted, open() and close(), to know when the last is gone.
 *  3. The collector's have a fault() of their own.  shmem's gives a hole a page and has the
 *     faulting process pay; ours maps what the page cache has, brings back what is swapped out
 *     (whose page is charged to whom it was charged before), and answers SIGBUS to a hole.  It
 *     never calls anything that may allocate a page for the file, so no race with reclaim can make
 *     it do so.  A page that is in swap and for which there is no memory now is not gone: as with
 *     shmem's own, the fault is repeated.
 *  4. map_pages(), which maps around a fault, only takes what is there.  It is not used while dirty
 *     pages are tracked, which wants to see what is mapped.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "internal.h"

static DEFINE_MUTEX(vm_ops_lock);
static struct vm_operations_struct owner_vm_ops, collector_vm_ops;
static const struct vm_operations_struct *shmem_vm_ops;	/* NULL: ours are not made yet */

/* A reference for us is not needed: vm_file has one. */
static struct tricolor_arena *arena_of(struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static void owner_open(struct vm_area_struct *vma)
{
	/* One that is there is being split or copied, so it is not 0. */
	atomic_inc(&arena_of(vma)->owners);
}

static void owner_close(struct vm_area_struct *vma)
{
	tricolor_owner_put(arena_of(vma));
}

/*
 * Only for there to be one.  What has a close() is not made one with a new mapping beside it; a
 * collector's would else swallow an owner's, which would be counted for ever, and get our fault().
 */
static void collector_close(struct vm_area_struct *vma)
{
}

static vm_fault_t owner_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = shmem_vm_ops->fault(vmf);

	if (ret & VM_FAULT_LOCKED)
		tricolor_dirty_fault(arena_of(vmf->vma), vmf);
	return ret;
}

/* Also of collectors. */
static vm_fault_t map_around(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	vm_fault_t ret = 0;

	/* pairs with synchronize_rcu() of who begins to track */
	rcu_read_lock();
	if (!READ_ONCE(arena_of(vmf->vma)->dirty_tracked))
		ret = shmem_vm_ops->map_pages(vmf, first, last);
	rcu_read_unlock();
	return ret;
}

/*
 * Bring a swapped-out page back: reading it does, and reads a hole as zeros without filling it.
 */
static int swap_in(struct file *shm, pgoff_t pgoff)
{
	loff_t pos = (loff_t)pgoff << PAGE_SHIFT;
	ssize_t n;
	char byte;

	n = kernel_read(shm, &byte, 1, &pos);
	return n < 0 ? (int)n : 0;
}

/* Memory that fallocate() has given and nobody has touched yet.  With the folio's lock. */
static void clear_new_folio(struct folio *folio)
{
	long i, nr = folio_nr_pages(folio);

	for (i = 0; i < nr; i++)
		clear_highpage(folio_page(folio, i));
	flush_dcache_folio(folio);
	folio_mark_uptodate(folio);
}

static vm_fault_t collector_fault(struct vm_fault *vmf)
{
	struct file *shm = vmf->vma->vm_file;
	struct address_space *mapping = shm->f_mapping;
	struct folio *folio;
	int err;

	folio = tricolor_lock_folio(mapping, vmf->pgoff);
	if (!folio) {
		if (!xa_is_value(xa_load(&mapping->i_pages, vmf->pgoff)))
			return VM_FAULT_SIGBUS;
		err = swap_in(shm, vmf->pgoff);
		if (err)
			return vmf_error(err);
		folio = tricolor_lock_folio(mapping, vmf->pgoff);
		/* Gone again, or swapped out again: the fault is repeated, and tells. */
		if (!folio)
			return VM_FAULT_NOPAGE;
	}
	if (!folio_test_uptodate(folio))
		clear_new_folio(folio);
	vmf->page = folio_file_page(folio, vmf->pgoff);
	tricolor_dirty_fault(arena_of(vmf->vma), vmf);
	return VM_FAULT_LOCKED;
}

static void make_vm_ops(const struct vm_operations_struct *shmem)
{
	mutex_lock(&vm_ops_lock);
	if (!shmem_vm_ops) {
		shmem_vm_ops = shmem;
		owner_vm_ops = *shmem;
		owner_vm_ops.fault = owner_fault;
		owner_vm_ops.map_pages = map_around;
		owner_vm_ops.open = owner_open;
		owner_vm_ops.close = owner_close;
		collector_vm_ops = *shmem;
		collector_vm_ops.fault = collector_fault;
		collector_vm_ops.map_pages = map_around;
		collector_vm_ops.close = collector_close;
	}
	mutex_unlock(&vm_ops_lock);
}

/**
 * tricolor_mmap - mmap() of an owner's or a collector's descriptor
 *
 * Only shared mappings: a private one would copy pages, and would not be the arena.  The owner's is
 * not inherited by children, which get a heap of their own; a collector's neither, so that a helper
 * process of it holds nothing.
 */
int tricolor_mmap(struct tricolor_arena *arena, struct vm_area_struct *vma, bool collector)
{
	u64 pages = arena->bytes >> PAGE_SHIFT;
	int err;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	if (tricolor_is_orphan(arena))
		return -ESHUTDOWN;
	vma_set_file(vma, arena->shm);
	err = tricolor_shmem_mmap(arena, vma);
	if (err)
		return err;
	make_vm_ops(vma->vm_ops);
	vm_flags_set(vma, VM_DONTCOPY);
	/*
	 * Keeps khugepaged and MADV_COLLAPSE away, which no mount option does.  They would fill
	 * holes on a collector's account; and in an arena of small pages nobody expects large ones,
	 * the walk of dirty.c least of all.
	 */
	if (collector || !(arena->create_flags & TRICOLOR_CREATE_HUGE))
		vm_flags_set(vma, VM_DONTEXPAND);
	/*
	 * Nothing fills an arena because it is mapped: neither who writes a core dump, which reads
	 * holes, nor mlockall() and MAP_POPULATE.  VM_LOCKED comes from MCL_FUTURE, and would be
	 * taken off together with VM_LOCKONFAULT, after which everything is populated.
	 */
	vm_flags_set(vma, VM_DONTDUMP | VM_LOCKONFAULT);
	vm_flags_clear(vma, VM_MAYEXEC | VM_LOCKED);
	if (collector) {
		vma->vm_ops = &collector_vm_ops;
	} else {
		vma->vm_ops = &owner_vm_ops;
		atomic_inc(&arena->owners);
	}
	return 0;
}
