// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a lease learns that it must go. XFS tells in two ways, and both are
 * needed: lm_break of the layout lease (write, reflink, allocation), and
 * the zap of the anchor (truncate, hole punch), because XFS waits for busy DAX
 * pages before it breaks leases (xfs_break_layouts()). A zap is turned into
 * lm_break by a work item, so that there is one path, one deadline, and every
 * other holder on the inode is told too.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>

#include "compat.h"
#include "lease.h"
#include "trace.h"

static unsigned int break_cap_ms = 60000;
module_param(break_cap_ms, uint, 0644);
MODULE_PARM_DESC(break_cap_ms,
		 "longest break in ms, also where lease-break-time is 0 or longer (default 60000)");

unsigned int md_break_cap_ms(void)
{
	return READ_ONCE(break_cap_ms);
}

static void md_breaker_put(struct md_breaker *b)
{
	put_pid(b->tgid);
	b->tgid = NULL;
}

static void md_break_work(struct work_struct *work);

/*
 * current breaks, unless it is a kworker that passes on what the notifier of
 * another lease on the same file saw.
 */
static struct md_breaker md_breaker_get(void)
{
	struct work_struct *work = current->flags & PF_WQ_WORKER ? current_work() : NULL;
	struct md_breaker b = {};

	if (work && work->func == md_break_work) {
		struct md_lease *first = container_of(work, struct md_lease, break_work);

		spin_lock(&first->state_lock);
		b = first->breaker;
		get_pid(b.tgid);
		spin_unlock(&first->state_lock);
		return b;
	}
	b.tgid = get_pid(task_tgid(current));
	strscpy(b.comm, current->comm, sizeof(b.comm));
	return b;
}

static struct md_breaker md_breaker_find(pid_t tgid)
{
	struct md_breaker b = { .tgid = find_get_pid(tgid) };
	struct task_struct *task = get_pid_task(b.tgid, PIDTYPE_TGID);

	if (task) {
		get_task_comm(b.comm, task);
		put_task_struct(task);
	}
	return b;
}

/* A first notice, of this breaker. Returns whether it was one. Any context. */
static bool md_break_note_by(struct md_lease *l, enum mapdirect_reason reason, struct md_breaker b)
{
	bool first = false;

	spin_lock(&l->state_lock);
	if (!l->reason && l->state != MAPDIRECT_STATE_RELEASED) {
		first = true;
		l->reason = reason;
		l->breaker = b;
		l->break_ns = ktime_get_ns();
		if (!l->state || l->state == MAPDIRECT_STATE_LIVE)
			l->state = MAPDIRECT_STATE_BREAKING;
	}
	spin_unlock(&l->state_lock);
	if (!first)
		md_breaker_put(&b);
	return first;
}

static bool md_break_note(struct md_lease *l, enum mapdirect_reason reason)
{
	return md_break_note_by(l, reason, md_breaker_get());
}

/* The deadline is known: now the holder is told. The earliest one rules. */
static void md_break_deadline(struct md_lease *l, u64 deadline_ns)
{
	bool told = false;

	spin_lock(&l->state_lock);
	if (!l->deadline_ns) {
		l->unread |= BIT(MAPDIRECT_EVENT_BREAK);
		told = true;
	}
	if (!l->deadline_ns || deadline_ns < l->deadline_ns)
		l->deadline_ns = deadline_ns;
	spin_unlock(&l->state_lock);
	if (told)
		trace_mapdirect_break(l);
	md_reap_kick(l);
	wake_up_all(&l->wait);
}

u64 md_break_cap_ns(void)
{
	return (u64)md_break_cap_ms() * NSEC_PER_MSEC;
}

static u64 md_break_cap(void)
{
	return md_protected(MD_PROTECT_CAP) ? ktime_get_ns() + md_break_cap_ns() : KTIME_MAX;
}

/*
 * The time that breakers are told to wait, in jiffies: for ever. Not LONG_MAX:
 * __break_lease() puts what is left of it into an int and returns that if it is
 * negative, and XFS hands it to user space as the errno of a reflink.
 */
#define MD_NEVER ((1UL << 60) + (1UL << 30))

/* Under flc_lock. false: the lease stays until we delete it. */
static bool md_lm_break(struct md_file_lease *fl)
{
	struct md_lease *l = (struct md_lease *)md_fl(fl, owner);
	u64 deadline = md_break_cap();

	if (fl->fl_break_time) { /* 0: lease-break-time is 0, no limit */
		long left = max_t(long, fl->fl_break_time - jiffies, 0);

		deadline = min(deadline, ktime_get_ns() + jiffies_to_nsecs(left));
	}
	/*
	 * Left alone, time_out_leases() would drop the lease at the deadline
	 * under live pins; 0 would make breakers poll every jiffy.
	 */
	if (md_protected(MD_PROTECT_BREAK_TIME))
		fl->fl_break_time = jiffies + MD_NEVER;
	md_break_note(l, MAPDIRECT_REASON_LAYOUT);
	md_break_deadline(l, deadline);
	return false;
}

/*
 * Called under flc_lock for each look whether the lease is in somebody's way.
 * __break_lease() calls lm_break before it waits, but not again when the lease
 * that it waited for is gone and this one has come instead: then it would wait
 * without our knowledge. Whether it does can be seen once it is queued.
 */
static bool md_lm_breaker_owns_lease(struct md_file_lease *fl)
{
	struct md_lease *l = (struct md_lease *)md_fl(fl, owner);

	if (!(md_fl(fl, flags) & FL_UNLOCK_PENDING) && /* lm_break was not called */
	    md_protected(MD_PROTECT_NEXT_LEASE))
		queue_work(md_wq, &l->break_work);
	return false;
}

static const struct md_lease_ops md_lm_ops = {
	.lm_breaker_owns_lease = md_lm_breaker_owns_lease,
	.lm_break = md_lm_break,
	.lm_change = lease_modify,
};

/* Whole-file, shared: layout leases know no ranges. Caller's rights count. */
int md_break_arm_lease(struct md_lease *l)
{
	struct md_file_lease *fl = md_fault_here() ? NULL : md_alloc_file_lease();
	int err;

	if (!fl)
		return -ENOMEM;
	fl->fl_lmops = &md_lm_ops;
	md_fl(fl, flags) = FL_LAYOUT;
	md_fl(fl, type) = F_RDLCK;
	md_fl(fl, owner) = l;
	md_fl(fl, pid) = current->tgid;
	md_fl(fl, file) = l->file;
	md_file_lease_whole(fl);
	err = md_fault_here() ?: vfs_setlease(l->file, F_RDLCK, &fl, NULL);
	if (err)
		md_free_file_lease(fl);
	return err;
}

void md_break_disarm_lease(struct md_lease *l)
{
	void *owner = l;
	int err = vfs_setlease(l->file, F_UNLCK, NULL, &owner);

	WARN_ON(err && md_protected(MD_PROTECT_BREAK_TIME));
	/* No notifier, and nobody looks at the lease: it is not queued again. */
	cancel_work_sync(&l->break_work);
}

/* Does anybody wait for a layout lease on the file? */
static bool md_break_note_waiter(struct md_lease *l)
{
	struct file_lock_context *ctx = l->inode->i_flctx;
	struct md_file_lease *fl;
	struct md_waiter *waiter;
	pid_t tgid = 0;

	/* Under this lock they come and go, see __break_lease(). */
	spin_lock(&ctx->flc_lock);
	md_for_each_file_lease(fl, ctx)
		md_for_each_waiter(waiter, fl)
			if (md_waiter_get(waiter, flags) & FL_LAYOUT)
				tgid = md_waiter_get(waiter, pid);
	spin_unlock(&ctx->flc_lock);
	return tgid && md_break_note_by(l, MAPDIRECT_REASON_LAYOUT, md_breaker_find(tgid));
}

static void md_break_work(struct work_struct *work)
{
	struct md_lease *l = container_of(work, struct md_lease, break_work);

	if (md_lease_deadline(l)) /* lm_break came before us */
		return;
	if (!READ_ONCE(l->reason) && !md_break_note_waiter(l))
		return;
	/* EWOULDBLOCK is the rule: we hold the lease, and lm_break was called. */
	if (!md_fault_here())
		__break_lease(l->inode, O_WRONLY | O_NONBLOCK, FL_LAYOUT);
	if (!md_lease_deadline(l)) /* no memory in __break_lease() */
		md_break_deadline(l, md_break_cap());
}

#ifdef MAPDIRECT_TESTING
#include <linux/delay.h>

/* What must not be done: wait for the holder, though with an end. */
static void md_wait_for_close(struct md_lease *l)
{
	int i;

	for (i = 0; i < 400 && !READ_ONCE(l->closed); i++)
		msleep(20);
}
#else
static void md_wait_for_close(struct md_lease *l)
{
}
#endif

/*
 * Under the breaker's i_mmap_rwsem, or the holder's mmap_lock. Nobody is
 * exempt: the holder may truncate its own file.
 */
static bool md_invalidate(struct mmu_interval_notifier *n, const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	struct md_lease *l = container_of(n, struct md_lease, notifier);
	bool gone, told = false;

	spin_lock(&l->state_lock);
	mmu_interval_set_seq(n, seq);
	gone = l->gone_ns;
	if (range->event == MMU_NOTIFY_RELEASE)
		l->gone_ns = ktime_get_ns();
	spin_unlock(&l->state_lock);

	switch (range->event) {
	case MMU_NOTIFY_RELEASE: /* exit or exec: nobody is left to be told */
		md_reap_kick(l);
		break;
	case MMU_NOTIFY_CLEAR:
		told = md_break_note(l, MAPDIRECT_REASON_TRUNCATE);
		break;
	case MMU_NOTIFY_UNMAP:
		/* By exit, too, but then we let go, and need not tell all other holders. */
		if (gone ? !md_protected(MD_PROTECT_EXIT) : md_protected(MD_PROTECT_UNMAP))
			told = md_break_note(l, MAPDIRECT_REASON_UNMAP);
		break;
	default: /* protection and soft-dirty bits: the blocks stay */
		break;
	}
	if (told)
		queue_work(md_wq, &l->break_work);
	if (range->event == MMU_NOTIFY_CLEAR && !md_protected(MD_PROTECT_NO_WAIT))
		md_wait_for_close(l);
	return true;
}

static const struct mmu_interval_notifier_ops md_notifier_ops = {
	.invalidate = md_invalidate,
};

int md_break_arm_notifier(struct md_lease *l)
{
	if (!md_protected(MD_PROTECT_NOTIFIER))
		return 0;
	return md_fault_here() ?:
			mmu_interval_notifier_insert(&l->notifier, l->mm, l->addr,
						     l->nr_pages << PAGE_SHIFT, &md_notifier_ops);
}

void md_break_disarm_notifier(struct md_lease *l)
{
	if (l->notifier.mm)
		mmu_interval_notifier_remove(&l->notifier);
	l->notifier.mm = NULL;
}

void md_break_init(struct md_lease *l)
{
	INIT_WORK(&l->break_work, md_break_work);
}
