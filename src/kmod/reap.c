// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a lease. While anybody else pins one of its pages, the lease, the
 * pins and the file stay: on exit the mm and the descriptors of the holder go
 * in an order that nobody promises, and an RDMA region may outlive them all.
 * One work item waits for that, so that close and exit never do, and sees to
 * the deadline.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "lease.h"
#include "trace.h"

#define MD_BACKOFF_MAX (HZ / 10)
/* A killed process ends its regions after its mm; then it is not stuck. */
#define MD_STUCK_NS NSEC_PER_SEC

/* The wrong way round, for a test. */
static bool md_counted_before_shut(struct md_lease *l)
{
	bool idle = !md_extents_foreign(&l->extents, 1);

	md_pause_here();
	md_mapping_shut(l);
	return idle;
}

/* Shut the mapping, and only then look who is left. Under l->lock. */
static bool md_shut_and_idle(struct md_lease *l)
{
	lockdep_assert_held(&l->lock);
	if (!md_protected(MD_PROTECT_RELEASE_ORDER))
		return md_counted_before_shut(l);
	md_mapping_shut(l);
	md_pause_here();
	return !md_extents_foreign(&l->extents, 1);
}

static void md_set_state(struct md_lease *l, enum mapdirect_state state)
{
	spin_lock(&l->state_lock);
	l->state = state;
	spin_unlock(&l->state_lock);
}

/* By the holder. Never waits for foreign pins. */
int md_release(struct md_lease *l)
{
	int err = mutex_lock_killable(&l->lock);

	if (err)
		return err;
	if (l->stage != MD_STAGE_NONE) {
		if (md_shut_and_idle(l)) {
			md_lease_teardown(l);
		} else {
			if (l->state != MAPDIRECT_STATE_STUCK)
				md_set_state(l, MAPDIRECT_STATE_RELEASING);
			err = -EBUSY;
		}
	}
	mutex_unlock(&l->lock);
	return err;
}

/* execve(2) changes the mm under this lock: what it has started is not hit. */
static bool md_kill_if_ours(struct md_lease *l, struct task_struct *t)
{
	bool ours;

	task_lock(t);
	ours = t->mm == l->mm;
	if (ours)
		kill_pid(task_tgid(t), SIGKILL, 1);
	task_unlock(t);
	return ours;
}

/*
 * Every process of the mm, whether or not it holds the descriptor: any of them
 * can use a region. A stopped process dies of this, too. The signal goes to the
 * process, not to its first thread, which may have ended alone.
 */
static void md_kill(struct md_lease *l)
{
	struct task_struct *p, *t;

	rcu_read_lock();
	for_each_process(p) {
		for_each_thread(p, t) {
			if (t->flags & PF_KTHREAD || __fatal_signal_pending(t) ||
			    !md_kill_if_ours(l, t))
				continue;
			trace_mapdirect_kill(l, p->pid);
			pr_warn("killed %s (%d): lease %llu was not released in time\n", p->comm,
				p->pid, l->generation);
			break;
		}
	}
	rcu_read_unlock();
}

static void md_revoke(struct md_lease *l)
{
	spin_lock(&l->state_lock);
	l->revoked = true;
	l->unread |= BIT(MAPDIRECT_EVENT_REVOKED);
	spin_unlock(&l->state_lock);
	wake_up_all(&l->wait);
	trace_mapdirect_revoke(l);
}

/* What has come over the lease by now? */
struct md_fate {
	bool closed, mm_gone, overdue, stuck;
	u64 wait_ns; /* to the deadline, 0: none or passed */
};

static struct md_fate md_fate_of(struct md_lease *l)
{
	u64 due, now = ktime_get_ns();
	struct md_fate f;

	spin_lock(&l->state_lock);
	f.closed = l->closed;
	f.mm_gone = l->gone_ns;
	f.overdue = l->deadline_ns && now >= l->deadline_ns;
	/* As if the longest break had begun when the mm went, if none ends before. */
	due = l->gone_ns ? l->gone_ns + md_break_cap_ns() : U64_MAX;
	if (l->deadline_ns)
		due = min(due, l->deadline_ns);
	f.stuck = due != U64_MAX && now >= due + MD_STUCK_NS;
	f.wait_ns = l->deadline_ns && !f.overdue ? l->deadline_ns - now : 0;
	spin_unlock(&l->state_lock);
	return f;
}

/* Foreign pins remain: kill who is late, and look again later. */
static void md_reap_later(struct md_lease *l, const struct md_fate *f)
{
	if (f->overdue && md_protected(MD_PROTECT_KILL)) {
		if (!f->mm_gone)
			md_kill(l);
		else if (!md_protected(MD_PROTECT_GONE)) /* whatever runs by that pid now */
			kill_pid(l->holder, SIGKILL, 1);
	}
	if (!f->stuck) {
		md_set_state(l, MAPDIRECT_STATE_RELEASING);
	} else if (l->state != MAPDIRECT_STATE_STUCK) {
		md_set_state(l, MAPDIRECT_STATE_STUCK);
		pr_warn("lease %llu is stuck: it is past its deadline, and %lu pages are still pinned\n",
			l->generation, md_extents_foreign(&l->extents, ULONG_MAX));
	}
	queue_delayed_work(md_wq, &l->reap_work, l->backoff);
	l->backoff = min_t(unsigned long, l->backoff * 2, MD_BACKOFF_MAX);
}

static void md_reap_work(struct work_struct *work)
{
	struct md_lease *l = container_of(to_delayed_work(work), struct md_lease, reap_work);
	struct md_fate f;

	/* Acquire may sleep in a fault for long; it kicks us at its end. */
	if (!smp_load_acquire(&l->acquired)) /* with md_reap_begin() */
		return;
	mutex_lock(&l->lock);
	f = md_fate_of(l);
	if (l->stage != MD_STAGE_NONE) {
		if (f.closed || f.mm_gone || f.overdue) {
			bool idle = md_shut_and_idle(l);

			if (f.overdue && !l->revoked)
				md_revoke(l);
			if (idle || !md_protected(MD_PROTECT_DEFER))
				md_lease_teardown(l);
			else
				md_reap_later(l, &f);
		} else if (f.wait_ns) {
			queue_delayed_work(md_wq, &l->reap_work, nsecs_to_jiffies(f.wait_ns) + 1);
		}
	}
	mutex_unlock(&l->lock);
	/* Closed: whoever could queue us again has done so. */
	if (f.closed && l->stage == MD_STAGE_NONE) {
		cancel_delayed_work(&l->reap_work);
		md_lease_free(l);
	}
}

/* Have the work item look at the lease now. Any context. */
void md_reap_kick(struct md_lease *l)
{
	mod_delayed_work(md_wq, &l->reap_work, 0);
}

/* Acquire is through; a break may have come already. */
void md_reap_begin(struct md_lease *l)
{
	smp_store_release(&l->acquired, true); /* with md_reap_work() */
	md_reap_kick(l);
}

/* The last reference to the lease fd went: from here on the work item owns l. */
void md_reap_close(struct md_lease *l)
{
	spin_lock(&l->state_lock);
	l->closed = true;
	md_reap_kick(l);
	spin_unlock(&l->state_lock);
}

void md_reap_init(struct md_lease *l)
{
	INIT_DELAYED_WORK(&l->reap_work, md_reap_work);
	l->backoff = 1;
}
