/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - what differs between Linux 6.1, 6.12 and 7.3, and nothing else
 *
 * The code is written for the newest one.  The number before a change is the kernel that has made
 * it, or 7.3 where only 6.12 and 7.3 were compared.
 */
#ifndef TRICOLOR_COMPAT_H
#define TRICOLOR_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>

/* 7.3: folio batches have a header of their own. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#include <linux/pagevec.h>
#define FOLIO_BATCH_SIZE PAGEVEC_SIZE
#else
#include <linux/folio_batch.h>
#endif

#ifndef CONFIG_64BIT
#error "tricolor needs a 64-bit kernel"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define vm_flags_set(vma, flags) ((vma)->vm_flags |= (flags))
#define vm_flags_clear(vma, flags) ((vma)->vm_flags &= ~(flags))
#endif

/* 7.3: flags of a mapping are a bitmap. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#define TRICOLOR_NORESERVE VM_NORESERVE
#else
#define TRICOLOR_NORESERVE mk_vma_flags(VMA_NORESERVE_BIT)
#endif

/*
 * 7.3: a file's operations have a hook that is called before there is a mapping, in place of
 * mmap().  These functions call the one of @operations with a file that has none, and clear it in a
 * copy of them.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
static inline int tricolor_mmap_by(const struct file_operations *operations, struct file *file,
				   struct vm_area_struct *vma)
{
	return operations->mmap(file, vma);
}

static inline void tricolor_clear_mmap(struct file_operations *operations)
{
	operations->mmap = NULL;
}
#else
static inline int tricolor_mmap_by(const struct file_operations *operations, struct file *file,
				   struct vm_area_struct *vma)
{
	struct vm_area_desc desc;
	int err;

	compat_set_desc_from_vma(&desc, file, vma);
	err = operations->mmap_prepare(&desc);
	return err ? err : __compat_vma_mmap(&desc, vma);
}

static inline void tricolor_clear_mmap(struct file_operations *operations)
{
	operations->mmap_prepare = NULL;
}
#endif

/* 6.2: a class's functions take a device that they may not change. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
typedef struct device tricolor_class_device;
#else
typedef const struct device tricolor_class_device;
#endif

/* 7.3: namespaces have a type of their own in sysfs. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
typedef const void tricolor_namespace;
#define tricolor_net_namespace(net) (net)
#else
typedef const struct ns_common tricolor_namespace;
#define tricolor_net_namespace(net) to_ns_common(net)
#endif

/* 6.4: if there is no folio, an error pointer is returned. */
static inline struct folio *tricolor_lock_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_lock_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/* Take a locked folio out of the page cache, for the caller to put.  6.8: it took a page. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
static inline int generic_error_remove_folio(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_page(mapping, &folio->page);
}
#endif

/*
 * Get a reference to a file that may be being freed; the caller keeps its memory.  6.13: the count
 * is another one.
 */
static inline bool tricolor_get_file(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return atomic_long_inc_not_zero(&file->f_count);
#else
	return file_ref_get(&file->f_ref);
#endif
}

#endif
