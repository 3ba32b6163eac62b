// SPDX-License-Identifier: GPL-2.0-only
/* For administrators: /proc/fs/mapdirect, a line per lease, and fdinfo. */

#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "lease.h"

#define MD_PROC "fs/mapdirect"

static const char *md_state_name(enum mapdirect_state state)
{
	switch (state) {
	case MAPDIRECT_STATE_LIVE:
		return "live";
	case MAPDIRECT_STATE_BREAKING:
		return "breaking";
	case MAPDIRECT_STATE_RELEASING:
		return "releasing";
	case MAPDIRECT_STATE_STUCK:
		return "stuck";
	case MAPDIRECT_STATE_RELEASED:
		return "released";
	}
	return "acquiring";
}

/* The count needs l->lock, which ranks before the list's: "?" if it is taken. */
static void md_show_pins(struct seq_file *m, struct md_lease *l)
{
	if (!mutex_trylock(&l->lock)) {
		seq_puts(m, " foreign=?");
		return;
	}
	seq_printf(m, " extents=%u foreign=%lu", l->extents.nr,
		   md_extents_foreign(&l->extents, ULONG_MAX));
	if (l->file) {
		seq_puts(m, " file=");
		seq_file_path(m, l->file, " \t\n\\");
	}
	mutex_unlock(&l->lock);
}

static void md_show_break(struct seq_file *m, struct md_lease *l, u64 now)
{
	char comm[TASK_COMM_LEN];
	s64 left_ms = 0;
	u64 deadline;
	pid_t pid;

	spin_lock(&l->state_lock);
	deadline = l->deadline_ns;
	pid = pid_vnr(l->breaker.tgid);
	strscpy(comm, l->breaker.comm, sizeof(comm));
	spin_unlock(&l->state_lock);
	if (!deadline)
		return;
	left_ms = div_s64((s64)(deadline - now), NSEC_PER_MSEC);
	seq_printf(m, " deadline_ms=%lld breaker=%d breaker_comm=", left_ms, pid);
	seq_escape(m, comm, " \t\n\\");
}

void md_list_show(struct seq_file *m, struct md_lease *l)
{
	u64 now = ktime_get_ns();

	seq_printf(m, "generation=%llu dev=%u:%u inode=%lu offset=%llu length=%llu", l->generation,
		   MAJOR(l->dev), MINOR(l->dev), l->ino,
		   (u64)l->index << PAGE_SHIFT, (u64)l->nr_pages << PAGE_SHIFT);
	seq_printf(m, " holder=%d comm=", pid_vnr(l->holder));
	seq_escape(m, l->comm, " \t\n\\");
	seq_printf(m, " state=%s age_ms=%llu pages=%lu", md_state_name(READ_ONCE(l->state)),
		   div_u64(now - l->acquired_ns, NSEC_PER_MSEC), l->nr_pages);
	md_show_break(m, l, now);
	md_show_pins(m, l);
	seq_putc(m, '\n');
}

static int md_proc_show(struct seq_file *m, void *unused)
{
	md_lease_for_each(m, md_list_show);
	return 0;
}

int md_list_init(void)
{
	return proc_create_single(MD_PROC, 0440, NULL, md_proc_show) ? 0 : -ENOMEM;
}

void md_list_exit(void)
{
	remove_proc_entry(MD_PROC, NULL);
}
