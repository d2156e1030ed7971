// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap.c - mappings of the owner and of collectors
 *
 *  1. A mapping of either descriptor becomes one of the arena's shmem file: shmem's own mmap sets
 *     it up, and vm_file is the shmem file.  So the descriptor may be closed, and madvise(),
 *     swapping and huge pages work as on any shared memory.  Then it gets a copy of shmem's
 *     operations with ours added.
 *  2. The owner's mappings are counted, by open() and close(), so that it is known when the last is
 *     gone.
 *  3. The collector's mappings have a fault() of their own.  shmem's fills a hole with a page, and
 *     charges the process that faults.  Ours maps what the page cache has, reads back what is
 *     swapped out (which stays charged to whom it was charged before), and answers SIGBUS to a
 *     hole.  It never calls anything that may allocate a page for the file, so no race with reclaim
 *     can make it do so.  If there is no memory to read a page back, the page is not gone, and the
 *     fault is repeated, as with shmem's own.
 *  4. map_pages(), which maps around a fault, only takes what is there.  It is not used while dirty
 *     pages are tracked, as tracking has to see each page that is mapped.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "internal.h"

static DEFINE_MUTEX(vm_ops_lock);
static struct vm_operations_struct owner_vm_ops, collector_vm_ops;
static const struct vm_operations_struct *shmem_vm_ops;	/* NULL: ours are not made yet */

/* No reference is taken, as vm_file has one. */
static struct tricolor_arena *arena_of(struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static void owner_open(struct vm_area_struct *vma)
{
	/* The count is not 0, as there is a mapping that is being split or copied. */
	atomic_inc(&arena_of(vma)->owners);
}

static void owner_close(struct vm_area_struct *vma)
{
	tricolor_owner_put(arena_of(vma));
}

/*
 * It does nothing, but the kernel merges no mapping that has a close() with a new one beside it.
 * Otherwise a collector's mapping could be merged with an owner's, which would then be counted for
 * ever, and get the collector's fault().
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

/* For mappings of the owner and of collectors. */
static vm_fault_t map_around(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	vm_fault_t ret = 0;

	/* pairs with synchronize_rcu() in begin() of dirty.c */
	rcu_read_lock();
	if (!READ_ONCE(arena_of(vmf->vma)->dirty_tracked))
		ret = shmem_vm_ops->map_pages(vmf, first, last);
	rcu_read_unlock();
	return ret;
}

/*
 * Bring a swapped-out page back by reading it.  This reads a hole as zeros, without filling it.
 */
static int swap_in(struct file *shm, pgoff_t pgoff)
{
	loff_t pos = (loff_t)pgoff << PAGE_SHIFT;
	ssize_t n;
	char byte;

	n = kernel_read(shm, &byte, 1, &pos);
	return n < 0 ? (int)n : 0;
}

/*
 * Clear a folio that fallocate() has allocated and nobody has touched yet.  To be called with its
 * lock.
 */
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
		/* It is gone or swapped out again, and the repeated fault finds out which. */
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
 * Only shared mappings are allowed, as a private one would copy pages, and would not be the arena.
 * Children inherit neither the owner's mapping, as they get a heap of their own, nor a collector's,
 * so that a helper process of a collector holds nothing.
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
	 * This keeps khugepaged and MADV_COLLAPSE away, which no mount option does.  They would
	 * fill holes and charge a collector for it.  And an arena of small pages must have no large
	 * ones, which the walk of dirty.c could not handle.
	 */
	if (collector || !(arena->create_flags & TRICOLOR_CREATE_HUGE))
		vm_flags_set(vma, VM_DONTEXPAND);
	/*
	 * Mapping an arena must not fill it.  A core dump would, as it reads holes, and so would
	 * mlockall() and MAP_POPULATE.  VM_LOCKED comes from MCL_FUTURE.  The kernel would clear it
	 * together with VM_LOCKONFAULT, and then populate the mapping.
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
