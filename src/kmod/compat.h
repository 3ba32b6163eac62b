/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for. Kbuild probes
 * for each MD_HAVE_* by compiling; what is a macro in the kernel is asked for
 * by name. No kernel version is looked at.
 */
#ifndef MAPDIRECT_COMPAT_H
#define MAPDIRECT_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#ifdef MD_HAVE_FILELOCK_H
#include <linux/filelock.h>
#endif

/* Leases were file_locks until they had a type of their own (6.9). */
#ifdef MD_HAVE_FILE_LEASE
#define md_file_lease file_lease
#define md_lease_ops lease_manager_operations

#define md_alloc_file_lease locks_alloc_lease
#define md_free_file_lease locks_free_lease
#define md_fl(fl, member) ((fl)->c.flc_##member)
#define md_for_each_file_lease(fl, ctx) list_for_each_entry(fl, &(ctx)->flc_lease, c.flc_list)

/* Who waits for a lease, in its list of blocked requests. */
#define md_waiter file_lock_core

#define md_waiter_get(waiter, member) ((waiter)->flc_##member)
#define md_for_each_waiter(waiter, fl) \
	list_for_each_entry(waiter, &(fl)->c.flc_blocked_requests, flc_blocked_member)

static inline void md_file_lease_whole(struct md_file_lease *fl)
{
	/* has no range */
}
#else
#define md_file_lease file_lock
#define md_lease_ops lock_manager_operations

#define md_alloc_file_lease locks_alloc_lock
#define md_free_file_lease locks_free_lock
#define md_fl(fl, member) ((fl)->fl_##member)
#define md_for_each_file_lease(fl, ctx) list_for_each_entry(fl, &(ctx)->flc_lease, fl_list)

#define md_waiter file_lock

#define md_waiter_get(waiter, member) ((waiter)->fl_##member)
#define md_for_each_waiter(waiter, fl) \
	list_for_each_entry(waiter, &(fl)->fl_blocked_requests, fl_blocked_member)

static inline void md_file_lease_whole(struct md_file_lease *fl)
{
	fl->fl_end = OFFSET_MAX;
}
#endif

#ifndef MD_HAVE_VM_FLAGS_SET /* 6.3: under mmap_lock by construction */
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/* How huge_fault is told the size: by a name, then (6.7) by the order. */
#ifdef MD_HAVE_PAGE_ENTRY_SIZE
#define md_fault_size enum page_entry_size

static inline bool md_fault_is_pmd(md_fault_size size)
{
	return size == PE_SIZE_PMD;
}
#else
#define md_fault_size unsigned int

static inline bool md_fault_is_pmd(md_fault_size size)
{
	return size == HPAGE_PMD_ORDER;
}
#endif

/* That mmap() may be given MAP_SYNC: a mask, then (6.10) a flag. */
#ifdef FOP_MMAP_SYNC
#define MD_FOPS_MMAP_SYNC .fop_flags = FOP_MMAP_SYNC
#else
#define MD_FOPS_MMAP_SYNC .mmap_supported_flags = MAP_SYNC
#endif

/*
 * A DAX page in more than one file, and in how many: page->mapping is a mark,
 * and the count has the place of page->index (fs/dax.c).
 */
static inline bool md_dax_page_marked(const struct page *page)
{
#ifdef PAGE_MAPPING_DAX_SHARED
	return page->mapping == PAGE_MAPPING_DAX_SHARED;
#else
	return page->mapping == (void *)PAGE_MAPPING_DAX_COW;
#endif
}

#endif
