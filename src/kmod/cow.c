// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that may share blocks with others. In such a file XFS moves a block
 * that is written to when any block near it is or was shared: it prepares
 * copies in pieces of 128 KiB or more (the CoW fork, xfs_reflink_allocate_cow()),
 * and whatever is stored there by a page fault goes to the copy, also what was
 * the file's alone. That frees the old block without a look at pins or leases.
 *
 * The inode's flag says whether the file may have such pieces. Only reflink and
 * its kin set it, and they break layout leases first: if it is off while a lease
 * stands, it stays off.
 */

#include <linux/buffer_head.h>
#include <linux/byteorder/generic.h>
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/iomap.h>
#include <linux/mutex.h>

#include "cow.h"
#include "lease.h"

/* The superblock on disk, fs/xfs/libxfs/xfs_format.h. */
#define MD_XFS_MAGIC 0x58465342
#define MD_XFS_RO_COMPAT 212
#define MD_XFS_RO_COMPAT_REFLINK BIT(2)

/* One look and probe at a time: a probe unmaps the file, see below. */
static DEFINE_MUTEX(md_cow_lock);

/* Was the file system made without it? Then there is nothing to ask. */
static bool md_cow_impossible(struct super_block *sb)
{
	struct buffer_head *bh = sb_bread(sb, 0);
	bool off;

	if (!bh)
		return false;
	off = be32_to_cpup((__be32 *)bh->b_data) == MD_XFS_MAGIC &&
	      !(be32_to_cpup((__be32 *)(bh->b_data + MD_XFS_RO_COMPAT)) &
		MD_XFS_RO_COMPAT_REFLINK);
	brelse(bh);
	return off;
}

/*
 * xfs_fs_map_blocks(), made for pNFS, is the only way to ask for the flag: it
 * refuses with ENXIO. Otherwise it writes the file back and unmaps it, so that
 * the notifier of another lease would take it for a break.
 */
static int md_cow_probe(struct md_lease *l)
{
	const struct export_operations *ops = l->inode->i_sb->s_export_op;
	struct iomap iomap;
	u32 device;
	int err;

	if (!ops || !ops->map_blocks)
		return -EOPNOTSUPP;
	err = ops->map_blocks(l->inode, (loff_t)l->index << PAGE_SHIFT,
			      (u64)l->nr_pages << PAGE_SHIFT, &iomap, false, &device);
	return err == -ENXIO ? -EMLINK : err;
}

/*
 * With the layout lease, before anything is faulted in or pinned, and without
 * i_rwsem. If another lease on the file was asked already and stands since then,
 * the answer is still good.
 */
int md_cow_check(struct md_lease *l)
{
	int err;

	if (!md_protected(MD_PROTECT_COW))
		return 0;
	err = md_fault_here() ?: mutex_lock_killable(&md_cow_lock);
	if (err)
		return err;
	if (!md_cow_impossible(l->inode->i_sb) && !md_lease_unshared_near(l->inode))
		err = md_cow_probe(l);
	if (!err)
		md_lease_set_unshared(l, true);
	mutex_unlock(&md_cow_lock);
	return err;
}
