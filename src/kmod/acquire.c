// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a lease. The order is the safety argument: whoever moves blocks of
 * the file holds its i_rwsem, so while we hold it nobody is past his check for
 * leases and not yet done; when we let go, lease and notifier stand, and what
 * happened in between shows as a break.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dax.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>

#include "cow.h"
#include "lease.h"
#include "trace.h"

/* XFS calls its layout break under this option only (fs/xfs/xfs_pnfs.c). */
#if !IS_ENABLED(CONFIG_EXPORTFS_BLOCK_OPS)
#error "this kernel's XFS never breaks layout leases"
#endif

#define MD_PIN_TRIES 8
#define MD_LOCK_WAIT HZ /* for a file that others write to all the time */

static int md_check_arg(const struct mapdirect_lease *arg)
{
	u64 end;

	if (arg->flags & ~MAPDIRECT_LEASE_ALLOCATE || arg->generation)
		return -EINVAL;
	if (!arg->length || !PAGE_ALIGNED(arg->offset | arg->length | arg->addr))
		return -EINVAL;
	if (check_add_overflow(arg->offset, arg->length, &end) || end > MAX_LFS_FILESIZE ||
	    check_add_overflow(arg->addr, arg->length, &end) || end > TASK_SIZE)
		return -EOVERFLOW;
	return 0;
}

static int md_check_size(struct inode *inode, const struct mapdirect_lease *arg)
{
	u64 end = round_up((u64)i_size_read(inode), PAGE_SIZE);

	return arg->offset + arg->length > end ? -ENXIO : 0;
}

static int md_check_file(struct file *file, const struct mapdirect_lease *arg)
{
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode))
		return -EBADFD;
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return -EACCES;
	if (!IS_DAX(inode)) {
		pr_info_ratelimited("%s on %s: the file is not accessed by DAX\n",
				    inode->i_sb->s_type->name, inode->i_sb->s_id);
		return -ENODEV;
	}
	if (inode->i_sb->s_magic != XFS_SUPER_MAGIC && md_protected(MD_PROTECT_FILE_SYSTEM)) {
		pr_info_ratelimited("%s on %s: this file system does not break layout leases before it moves blocks; use XFS\n",
				    inode->i_sb->s_type->name, inode->i_sb->s_id);
		return -EOPNOTSUPP;
	}
	return md_check_size(inode, arg);
}

/*
 * The anchor: shared, writable and MAP_SYNC, of this file, in one piece or
 * several. That each page is at its place is checked page by page later.
 */
static int md_check_anchor(struct inode *inode, const struct mapdirect_lease *arg)
{
	const unsigned long need = VM_SHARED | VM_WRITE | VM_SYNC;
	unsigned long addr = arg->addr, end = arg->addr + arg->length;
	struct mm_struct *mm = current->mm;
	int err = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (addr < end && !err) {
		struct vm_area_struct *vma = vma_lookup(mm, addr);

		if (!vma || (vma->vm_flags & need) != need || !vma->vm_file ||
		    (file_inode(vma->vm_file) != inode && md_protected(MD_PROTECT_ANCHOR)))
			err = -EADDRNOTAVAIL;
		else
			addr = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return err;
}

/* A hole or an unwritten extent: the file system would allocate under us. */
static int md_check_allocated(struct file *file, const struct mapdirect_lease *arg)
{
	u64 size = i_size_read(file_inode(file));
	loff_t hole;

	if (arg->flags & MAPDIRECT_LEASE_ALLOCATE)
		return 0;
	hole = vfs_llseek(file, arg->offset, SEEK_HOLE);
	if (hole < 0)
		return hole;
	return (u64)hole < min(arg->offset + arg->length, size) ? -ENODATA : 0;
}

/* Pin, and be sure that nothing was zapped between the pin and now. flags: FOLL_* */
static int md_pin_stable(struct md_lease *l, unsigned int flags)
{
	int tries, err;

	for (tries = 0; tries < MD_PIN_TRIES; tries++) {
		bool broken, good, retry = false;
		unsigned long seq = 0;

		if (l->notifier.mm)
			seq = mmu_interval_read_begin(&l->notifier);
		err = md_extents_pin(&l->extents, l->addr, l->nr_pages, l->inode->i_mapping,
				     l->index, flags);
		if (err)
			return READ_ONCE(l->reason) ? -EAGAIN : err;
		spin_lock(&l->state_lock);
		if (l->notifier.mm)
			retry = mmu_interval_read_retry(&l->notifier, seq);
		broken = l->reason || l->gone_ns;
		good = (!retry && !broken) || !md_protected(MD_PROTECT_RETRY);
		if (good)
			l->state = MAPDIRECT_STATE_LIVE;
		spin_unlock(&l->state_lock);
		if (good)
			return 0;
		md_extents_unpin(&l->extents);
		if (broken)
			return -EAGAIN;
	}
	return -EBUSY;
}

/*
 * A truncate holds i_rwsem while it waits for busy pages, perhaps for those of
 * another lease of this very process: if the thread that is to give that lease
 * back slept on i_rwsem here, both would wait until the deadline. So look for
 * breaks while waiting.
 */
static int md_lock_inode(struct inode *inode)
{
	unsigned long end = jiffies + MD_LOCK_WAIT;

	if (!md_protected(MD_PROTECT_TRY_LOCK))
		return down_write_killable(&inode->i_rwsem);
	for (;;) {
		if (md_lease_breaking_near(inode))
			return -EAGAIN;
		if (inode_trylock(inode))
			return 0;
		if (time_after(jiffies, end))
			return -EAGAIN;
		schedule_timeout_killable(1);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/* The wrong way round, for a test. */
static int md_pinned_before_armed(struct md_lease *l)
{
	int err = md_extents_pin(&l->extents, l->addr, l->nr_pages, l->inode->i_mapping, l->index,
				 0);

	if (err)
		return err;
	err = md_break_arm_lease(l);
	if (err)
		return err;
	l->stage = MD_STAGE_LEASED;
	err = md_break_arm_notifier(l);
	if (err)
		return err;
	l->stage = MD_STAGE_NOTIFIED;
	l->state = MAPDIRECT_STATE_LIVE;
	return 0;
}

/* Under i_rwsem. From here on who changes the layout waits. */
static int md_arm_lease(struct md_lease *l, const struct mapdirect_lease *arg)
{
	int err = md_check_size(l->inode, arg);

	if (err)
		return err;
	err = md_break_arm_lease(l);
	if (err)
		return err == -EACCES ? -EPERM : err == -EINVAL ? -ENOLCK : err;
	l->stage = MD_STAGE_LEASED;
	return 0;
}

/* Under i_rwsem. From here on a zap is seen. */
static int md_arm_and_pin(struct md_lease *l, const struct mapdirect_lease *arg, unsigned int flags)
{
	int err = md_check_size(l->inode, arg);

	if (!err)
		err = md_break_arm_notifier(l);
	if (err)
		return err;
	l->stage = MD_STAGE_NOTIFIED;
	return md_pin_stable(l, flags);
}

static int md_pin_mapped(struct md_lease *l, const struct mapdirect_lease *arg)
{
	return md_arm_and_pin(l, arg, FOLL_NOFAULT);
}

static int md_pin_all(struct md_lease *l, const struct mapdirect_lease *arg)
{
	return md_arm_and_pin(l, arg, 0);
}

static int md_with_inode(int (*step)(struct md_lease *l, const struct mapdirect_lease *arg),
			 struct md_lease *l, const struct mapdirect_lease *arg)
{
	struct super_block *sb = l->inode->i_sb;
	int err;

	/* As write(2) does, in this order: a fault must not meet a frozen file system. */
	if (!sb_start_write_trylock(sb))
		return -EAGAIN;
	err = md_lock_inode(l->inode);
	if (!err) {
		err = step(l, arg);
		inode_unlock(l->inode);
	}
	sb_end_write(sb);
	return err;
}

/*
 * Pages were not mapped: fault them in for writing. That allocates, which takes long, and
 * zaps, which is no break: so without i_rwsem, and without the notifier.
 */
static int md_prefault_and_pin(struct md_lease *l, const struct mapdirect_lease *arg)
{
	int err;

	md_break_disarm_notifier(l);
	l->stage = MD_STAGE_LEASED;
	err = md_extents_prefault(l->addr, l->nr_pages, &l->reason);
	return err ?: md_with_inode(md_pin_all, l, arg);
}

/* Under l->lock. */
static int md_take(struct md_lease *l, const struct mapdirect_lease *arg)
{
	int err = md_mapping_new(l);

	lockdep_assert_held(&l->lock);
	if (!err)
		err = md_check_allocated(l->file, arg);
	if (!err) /* first of all: our pins would be foreign to who overlaps */
		err = md_lease_list(l);
	if (err)
		return err;
	if (!md_protected(MD_PROTECT_ACQUIRE_ORDER))
		return md_pinned_before_armed(l);
	err = md_with_inode(md_arm_lease, l, arg);
	if (!err)
		err = md_cow_check(l);
	if (!err) /* holders fault them in first: as a rule there is nothing more to do */
		err = md_with_inode(md_pin_mapped, l, arg);
	if (err == -EFAULT && l->stage == MD_STAGE_NOTIFIED)
		err = md_prefault_and_pin(l, arg);
	return err && READ_ONCE(l->reason) ? -EAGAIN : err;
}

static void md_abandon(struct md_lease *l)
{
	mutex_lock(&l->lock);
	md_lease_teardown(l);
	mutex_unlock(&l->lock);
	cancel_delayed_work_sync(&l->reap_work);
	md_lease_free(l);
}

/* An open of our own: deleting a lease wipes the signal owner of its file. */
static struct file *md_open_own(struct file *file)
{
	int err = md_fault_here();

	if (err)
		return ERR_PTR(err);
	if (!md_protected(MD_PROTECT_OWN_FILE))
		return get_file(file);
	return dentry_open(&file->f_path, O_RDWR | O_LARGEFILE | O_NONBLOCK, current_cred());
}

static struct md_lease *md_prepare(const struct mapdirect_lease *arg)
{
	struct file *file = fget(arg->fd);
	struct md_lease *l = NULL;
	struct file *own;
	int err;

	if (!file)
		return ERR_PTR(-EBADF);
	err = md_check_file(file, arg);
	if (!err)
		err = md_check_anchor(file_inode(file), arg);
	if (err)
		goto out;
	own = md_open_own(file);
	if (IS_ERR(own)) {
		err = PTR_ERR(own);
		goto out;
	}
	l = md_lease_new(own, arg);
	if (!l) {
		fput(own);
		err = -ENOMEM;
	}
out:
	fput(file);
	return err ? ERR_PTR(err) : l;
}

/* Returns a descriptor for *filep, not installed yet, and sets arg->generation. */
int md_acquire(struct mapdirect_lease *arg, struct file **filep)
{
	struct md_lease *l;
	struct file *file;
	int fd, err = md_check_arg(arg);

	if (err)
		return err;
	l = md_prepare(arg);
	if (IS_ERR(l))
		return PTR_ERR(l);
	mutex_lock(&l->lock);
	err = md_take(l, arg);
	mutex_unlock(&l->lock);
	if (err)
		goto abandon;
	md_reap_begin(l);
	fd = md_fault_here() ?: get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto abandon;
	}
	file = md_mapping_file(l);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		err = PTR_ERR(file);
		goto abandon;
	}
	arg->generation = l->generation;
	trace_mapdirect_acquire(l);
	*filep = file;
	return fd;
abandon:
	md_abandon(l);
	return err;
}
