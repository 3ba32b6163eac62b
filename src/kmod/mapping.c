// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapping of a lease fd: the file's own pages, seen through a private
 * inode, so that it can be zapped alone. The inode says what a device-dax
 * inode says (drivers/dax/super.c): character device, S_DAX. Thus
 * vma_is_fsdax() is false and FOLL_LONGTERM is granted, and vma_is_dax() is
 * true and huge faults come. The file system is mounted as long as there are
 * leases, so that module and mount do not keep each other.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pfn_t.h>
#include <linux/pseudo_fs.h>

#include "compat.h"
#include "lease.h"

static struct vfsmount *md_mnt;
static int md_mnt_users;

static int md_fs_init(struct fs_context *fc)
{
	if (!init_pseudo(fc, 0x6d646972))
		return -ENOMEM;
	fc->s_iflags |= SB_I_NOEXEC; /* no way round noexec on the file's mount */
	return 0;
}

/* The superblock outlives the last lease: __fput() ends with mntput(). */
static struct file_system_type md_fs = {
	.owner = THIS_MODULE,
	.name = "mapdirect",
	.init_fs_context = md_fs_init,
	.kill_sb = kill_anon_super,
};

static struct inode *md_mapping_inode(void)
{
	int err = md_fault_here();

	if (err)
		return ERR_PTR(err);
	if (!md_protected(MD_PROTECT_OWN_INODE))
		return igrab(d_inode(md_mnt->mnt_root));
	return alloc_anon_inode(md_mnt->mnt_sb);
}

/* The private inode. */
int md_mapping_new(struct md_lease *l)
{
	int err = md_fault_here() ?: simple_pin_fs(&md_fs, &md_mnt, &md_mnt_users);
	struct inode *inode;

	if (err)
		return err;
	inode = md_mapping_inode();
	if (IS_ERR(inode)) {
		simple_release_fs(&md_mnt, &md_mnt_users);
		return PTR_ERR(inode);
	}
	inode->i_mode = S_IFCHR | 0600;
	inode->i_flags |= S_DAX;
	l->map_inode = inode;
	return 0;
}

void md_mapping_free(struct md_lease *l)
{
	if (!l->map_inode)
		return;
	iput(l->map_inode);
	simple_release_fs(&md_mnt, &md_mnt_users);
}

/* A file on it, whose release hands the lease to md_reap_close(). */
struct file *md_mapping_file(struct md_lease *l)
{
	int err = md_fault_here();
	struct file *file;

	ihold(l->map_inode);
	file = err ? ERR_PTR(err) :
		     alloc_file_pseudo(l->map_inode, md_mnt, "[mapdirect]", O_RDWR, &md_lease_fops);
	if (IS_ERR(file)) {
		iput(l->map_inode);
		return file;
	}
	__module_get(THIS_MODULE); /* __fput() puts it, by the owner in fops */
	file->private_data = l;
	return file;
}

/* Under gate: the frame to map, and whether 2^order of them fit around it. */
static vm_fault_t md_find_pfn(struct md_lease *l, struct vm_fault *vmf, unsigned long index,
			      unsigned int order, unsigned long *pfn)
{
	const struct md_extent *x;
	unsigned long nr = 1UL << order;

	lockdep_assert_held(&l->gate);
	if (l->shut || !md_is_holder(l, vmf->vma->vm_mm))
		return VM_FAULT_SIGBUS;
	x = md_extents_find(&l->extents, index);
	if (!x)
		return VM_FAULT_SIGBUS;
	*pfn = x->pfn + (index - x->index);
	if (!IS_ALIGNED(*pfn, nr) || index - x->index + nr > x->nr)
		return VM_FAULT_FALLBACK;
	return 0;
}

static vm_fault_t md_fault(struct vm_fault *vmf)
{
	struct md_lease *l = vmf->vma->vm_private_data;
	unsigned long pfn;
	vm_fault_t ret;

	down_read(&l->gate);
	ret = md_find_pfn(l, vmf, vmf->pgoff, 0, &pfn);
	if (!ret) {
		pfn_t p = pfn_to_pfn_t(pfn);

		p.val |= PFN_DEV | PFN_MAP;
		/* writable as the vma is, see drivers/dax/device.c */
		ret = vmf_insert_mixed(vmf->vma, vmf->address, p);
	}
	up_read(&l->gate);
	return ret;
}

static vm_fault_t md_huge_fault(struct vm_fault *vmf, md_fault_size size)
{
	struct vm_area_struct *vma = vmf->vma;
	struct md_lease *l = vma->vm_private_data;
	unsigned long start = vmf->address & PMD_MASK;
	unsigned long pfn;
	vm_fault_t ret;

	if (!md_fault_is_pmd(size) || start < vma->vm_start || start + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	down_read(&l->gate);
	ret = md_find_pfn(l, vmf, linear_page_index(vma, start), HPAGE_PMD_ORDER, &pfn);
	if (!ret) {
		pfn_t p = pfn_to_pfn_t(pfn);

		p.val |= PFN_DEV | PFN_MAP;
		ret = vmf_insert_pfn_pmd(vmf, p, vmf->flags & FAULT_FLAG_WRITE);
	}
	up_read(&l->gate);
	return ret;
}

/* No way to grow or move into another place: the size is that of the lease. */
static int md_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static const struct vm_operations_struct md_vm_ops = {
	.fault = md_fault,
	.huge_fault = md_huge_fault,
	.mremap = md_mremap,
};

/*
 * VM_DONTCOPY alone does not keep a child out: MADV_DOFORK undoes it, and
 * libibverbs' fork support issues that. So the fault handler looks at the mm,
 * and VM_MIXEDMAP, which devmap entries do not need, is not set: fork would
 * copy the entries themselves (vma_needs_copy() in mm/memory.c).
 */
int md_mapping_mmap(struct md_lease *l, struct vm_area_struct *vma)
{
	unsigned long nr = vma_pages(vma);

	if (!md_is_holder(l, vma->vm_mm))
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff > l->nr_pages || nr > l->nr_pages - vma->vm_pgoff)
		return -ENXIO;
	if (READ_ONCE(l->state) != MAPDIRECT_STATE_LIVE)
		return -EAGAIN;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &md_vm_ops;
	vma->vm_private_data = l;
	return 0;
}

/*
 * After this no new reference can be taken through the mapping: a fault sees
 * shut, a GUP-fast that already read an entry sees it changed (mm/gup.c,
 * gup_pte_range()), and its reference is visible to who counts after this.
 */
void md_mapping_shut(struct md_lease *l)
{
	down_write(&l->gate);
	l->shut = true;
	up_write(&l->gate);
	unmap_mapping_range(l->map_inode->i_mapping, 0, 0, 1);
	smp_mb(); /* pairs with the atomic add in try_grab_folio() */
}
