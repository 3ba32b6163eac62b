// SPDX-License-Identifier: GPL-2.0-only
/* The lease file descriptor. Only the mm that took the lease may act on it. */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "lease.h"

#define MD_EVENT_SIZE_V1 offsetofend(struct mapdirect_event, breaker_comm)
#define MD_STATUS_SIZE_V1 offsetofend(struct mapdirect_status, deadline_ns)

/* Under state_lock: the first event that was not read, 0 if there is none. */
static unsigned int md_event_next(const struct md_lease *l)
{
	lockdep_assert_held(&l->state_lock);
	return l->unread ? __ffs(l->unread) : 0;
}

/* Takes the next event out. 0: none, and none will come; -EAGAIN: none yet. */
static int md_event_take(struct md_lease *l, struct mapdirect_event *ev)
{
	int ret = 1;

	*ev = (struct mapdirect_event){ .generation = l->generation };
	spin_lock(&l->state_lock);
	ev->type = md_event_next(l);
	if (ev->type) {
		l->unread &= ~BIT(ev->type);
		ev->reason = l->reason;
		ev->time_ns = l->break_ns;
		ev->deadline_ns = l->deadline_ns;
		ev->breaker_pid = pid_vnr(l->breaker.tgid);
		strscpy(ev->breaker_comm, l->breaker.comm, sizeof(ev->breaker_comm));
	} else {
		ret = l->state == MAPDIRECT_STATE_RELEASED ? 0 : -EAGAIN;
	}
	spin_unlock(&l->state_lock);
	return ret;
}

static ssize_t md_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct md_lease *l = file->private_data;
	struct mapdirect_event ev;
	int ret;

	if (!md_is_holder(l, current->mm))
		return -EPERM;
	if (count < MD_EVENT_SIZE_V1)
		return -EINVAL;
	ret = md_event_take(l, &ev);
	if (ret == -EAGAIN && !(file->f_flags & O_NONBLOCK)) {
		int err = wait_event_interruptible(l->wait, (ret = md_event_take(l, &ev)) >= 0);

		if (err)
			return err;
	}
	if (ret <= 0)
		return ret;
	count = min(count, sizeof(ev));
	return copy_to_user(to, &ev, count) ? -EFAULT : count;
}

static __poll_t md_poll(struct file *file, poll_table *wait)
{
	struct md_lease *l = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &l->wait, wait);
	spin_lock(&l->state_lock);
	if (md_event_next(l))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (l->state == MAPDIRECT_STATE_RELEASED)
		mask |= EPOLLHUP;
	spin_unlock(&l->state_lock);
	return mask;
}

static long md_status(struct md_lease *l, void __user *to, size_t size)
{
	struct mapdirect_status st = { .generation = l->generation };
	size_t n = min(size, sizeof(st));

	if (size < MD_STATUS_SIZE_V1)
		return -EINVAL;
	if (mutex_lock_killable(&l->lock))
		return -EINTR;
	st.pages = l->stage == MD_STAGE_NONE ? 0 : l->nr_pages;
	st.foreign_pages = md_extents_foreign(&l->extents, ULONG_MAX);
	spin_lock(&l->state_lock);
	st.state = l->state;
	st.reason = l->reason;
	st.deadline_ns = l->deadline_ns;
	spin_unlock(&l->state_lock);
	mutex_unlock(&l->lock);
	if (copy_to_user(to, &st, n) || clear_user(to + n, size - n))
		return -EFAULT;
	return 0;
}

static long md_lease_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct md_lease *l = file->private_data;

	if (!md_is_holder(l, current->mm))
		return -EPERM;
	switch (cmd & ~IOCSIZE_MASK) {
	case MAPDIRECT_IOC_STATUS & ~IOCSIZE_MASK:
		return md_status(l, (void __user *)arg, _IOC_SIZE(cmd));
	case MAPDIRECT_IOC_RELEASE:
		return _IOC_SIZE(cmd) ? -EINVAL : md_release(l);
	default:
		return -ENOTTY;
	}
}

static int md_mmap(struct file *file, struct vm_area_struct *vma)
{
	return md_mapping_mmap(file->private_data, vma);
}

static void md_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct md_lease *l = file->private_data;

	seq_puts(m, "mapdirect:\t");
	md_list_show(m, l);
}

static int md_file_release(struct inode *inode, struct file *file)
{
	md_reap_close(file->private_data);
	return 0;
}

const struct file_operations md_lease_fops = {
	.owner = THIS_MODULE,
	.read = md_read,
	.poll = md_poll,
	.unlocked_ioctl = md_lease_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = md_mmap,
	MD_FOPS_MMAP_SYNC,
	.show_fdinfo = md_show_fdinfo,
	.release = md_file_release,
};
