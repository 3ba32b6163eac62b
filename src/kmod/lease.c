// SPDX-License-Identifier: GPL-2.0-only
/* The lease object: making, listing, taking apart. */

#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "lease.h"
#include "trace.h"

struct workqueue_struct *md_wq;

static LIST_HEAD(md_list);
static DEFINE_MUTEX(md_list_lock);
static u64 md_generation; /* under md_list_lock */

/*
 * Deleting a lease checks the caller's rights again (generic_setlease() in
 * fs/locks.c), and the holder may have lost them by setuid or chown.
 */
static const struct cred *md_kernel_cred;

int md_leases_init(void)
{
	md_kernel_cred = prepare_kernel_cred(&init_task);
	if (!md_kernel_cred)
		return -ENOMEM;
	md_wq = alloc_workqueue("mapdirect", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!md_wq) {
		put_cred(md_kernel_cred);
		return -ENOMEM;
	}
	return 0;
}

void md_leases_exit(void)
{
	destroy_workqueue(md_wq);
	put_cred(md_kernel_cred);
}

/* file: our own open of the file, which the lease takes over. */
struct md_lease *md_lease_new(struct file *file, const struct mapdirect_lease *arg)
{
	struct md_lease *l = md_fault_here() ? NULL : kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);

	if (!l)
		return NULL;
	l->file = file;
	l->inode = file_inode(file);
	l->dev = l->inode->i_sb->s_dev;
	l->ino = l->inode->i_ino;
	l->index = arg->offset >> PAGE_SHIFT;
	l->nr_pages = arg->length >> PAGE_SHIFT;
	l->addr = arg->addr;
	l->mm = current->mm;
	mmgrab(l->mm);
	l->holder = get_task_pid(current, PIDTYPE_TGID);
	get_task_comm(l->comm, current);
	l->acquired_ns = ktime_get_ns();
	INIT_LIST_HEAD(&l->link);
	mutex_init(&l->lock);
	init_rwsem(&l->gate);
	spin_lock_init(&l->state_lock);
	init_waitqueue_head(&l->wait);
	md_break_init(l);
	md_reap_init(l);
	__module_get(THIS_MODULE);
	return l;
}

/* Only after teardown, and when nothing can reach the lease any more. */
void md_lease_free(struct md_lease *l)
{
	WARN_ON(l->stage != MD_STAGE_NONE);
	if (l->file) /* listed never */
		fput(l->file);
	md_mapping_free(l);
	put_pid(l->breaker.tgid);
	put_pid(l->holder);
	mmdrop(l->mm);
	kfree(l);
	module_put(THIS_MODULE);
}

/* Two leases over one page would each take the other's pin for a foreign one. */
static bool md_lease_overlaps(const struct md_lease *l)
{
	const struct md_lease *o;

	lockdep_assert_held(&md_list_lock);
	list_for_each_entry(o, &md_list, link)
		if (o->inode == l->inode && o->index < l->index + l->nr_pages &&
		    l->index < o->index + o->nr_pages)
			return true;
	return false;
}

/* Is some lease on this file in a break? Then ours would be refused or wait. */
bool md_lease_breaking_near(struct inode *inode)
{
	const struct md_lease *o;
	bool found = false;

	mutex_lock(&md_list_lock);
	list_for_each_entry(o, &md_list, link)
		if (o->inode == inode && READ_ONCE(o->reason))
			found = true;
	mutex_unlock(&md_list_lock);
	return found;
}

/* Does a lease stand that has kept the file from sharing blocks? For cow.c. */
bool md_lease_unshared_near(struct inode *inode)
{
	const struct md_lease *o;
	bool found = false;

	mutex_lock(&md_list_lock);
	list_for_each_entry(o, &md_list, link)
		found |= o->inode == inode && o->unshared;
	mutex_unlock(&md_list_lock);
	return found;
}

void md_lease_set_unshared(struct md_lease *l, bool unshared)
{
	mutex_lock(&md_list_lock);
	l->unshared = unshared;
	mutex_unlock(&md_list_lock);
}

/* As for locked and registered memory: drivers/infiniband/core/umem.c. */
static int md_account(struct md_lease *l)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 pinned = atomic64_add_return(l->nr_pages, &l->mm->pinned_vm);

	if (pinned > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(l->nr_pages, &l->mm->pinned_vm);
		return -ENOMEM;
	}
	return 0;
}

/*
 * XFS_IOC_SWAPEXT neither breaks leases nor waits for pins, but it refuses a
 * file whose page cache is not empty (xfs_swap_extent_flush() in
 * fs/xfs/xfs_bmap_util.c). One page that does not exist is counted while ours
 * are pinned. clear_inode() wants 0 again; our file reference comes first.
 */
static void md_count_page(struct md_lease *l)
{
	struct address_space *mapping = l->inode->i_mapping;

	if (!md_protected(MD_PROTECT_NRPAGES))
		return;
	l->counted = 1;
	xa_lock_irq(&mapping->i_pages);
	mapping->nrpages += l->counted;
	xa_unlock_irq(&mapping->i_pages);
}

static void md_uncount_page(struct md_lease *l)
{
	struct address_space *mapping = l->inode->i_mapping;

	xa_lock_irq(&mapping->i_pages);
	mapping->nrpages -= l->counted;
	xa_unlock_irq(&mapping->i_pages);
}

/* Reserve the range, account for the memory, count the page. */
int md_lease_list(struct md_lease *l)
{
	int err = md_fault_here() ?: md_account(l);

	if (err)
		return err;
	mutex_lock(&md_list_lock);
	if (md_protected(MD_PROTECT_OVERLAP) && md_lease_overlaps(l)) {
		mutex_unlock(&md_list_lock);
		atomic64_sub(l->nr_pages, &l->mm->pinned_vm);
		return -EEXIST;
	}
	l->generation = ++md_generation;
	list_add_tail(&l->link, &md_list);
	mutex_unlock(&md_list_lock);
	md_count_page(l);
	l->stage = MD_STAGE_LISTED;
	return 0;
}

/*
 * Give back all that acquire took, in the one order that leaves no gap: no
 * more notice, no more work on this inode, no more pins, no more word for the
 * inode (cow.c), then the lease, then the count, then the file. The caller made
 * sure that nobody else pins a page.
 */
void md_lease_teardown(struct md_lease *l)
{
	const struct cred *old;

	if (l->stage == MD_STAGE_NONE)
		return;
	if (l->stage == MD_STAGE_NOTIFIED)
		md_break_disarm_notifier(l);
	md_extents_unpin(&l->extents);
	md_lease_set_unshared(l, false);
	old = override_creds(md_protected(MD_PROTECT_CREDENTIALS) ? md_kernel_cred :
								      current_cred());
	if (l->stage >= MD_STAGE_LEASED)
		md_break_disarm_lease(l);
	revert_creds(old);
	mutex_lock(&md_list_lock);
	list_del_init(&l->link);
	mutex_unlock(&md_list_lock);
	md_uncount_page(l);
	atomic64_sub(l->nr_pages, &l->mm->pinned_vm);
	fput(l->file);
	l->file = NULL;
	l->stage = MD_STAGE_NONE;
	spin_lock(&l->state_lock);
	l->state = MAPDIRECT_STATE_RELEASED;
	spin_unlock(&l->state_lock);
	wake_up_all(&l->wait);
	trace_mapdirect_release(l);
}

u64 md_lease_deadline(struct md_lease *l)
{
	u64 ns;

	spin_lock(&l->state_lock);
	ns = l->deadline_ns;
	spin_unlock(&l->state_lock);
	return ns;
}

/* For list.c: every lease, in the order they were taken. */
void md_lease_for_each(struct seq_file *m, void (*show)(struct seq_file *, struct md_lease *))
{
	struct md_lease *l;

	mutex_lock(&md_list_lock);
	list_for_each_entry(l, &md_list, link)
		show(m, l);
	mutex_unlock(&md_list_lock);
}
