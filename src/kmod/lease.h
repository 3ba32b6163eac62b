/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One lease: a pinned range of one file, held by one mm, seen through one file
 * descriptor.
 *
 * Locks, outermost first:
 *   md_lease.lock    one acquire, release, reap or teardown at a time
 *   inode->i_rwsem   of the leased file; taken in acquire only, never in
 *                    release (a truncate holds it while it waits for us)
 *   md_list_lock     the list of leases; in lease.c
 *   mm->mmap_lock    held by mmap and fault
 *   md_lease.gate    read: a fault inserts pages; write: shutting the mapping
 *   ctx->flc_lock    the lock core's, around lm_break
 *   md_lease.state_lock  state, break and events; the innermost, taken from
 *                    the mmu notifier and from lm_break, so nothing may sleep
 *                    or take another lock under it
 *
 * The notifier runs under the breaker's i_mmap_rwsem, which a dying holder
 * needs in order to exit: it must never wait.
 */
#ifndef MAPDIRECT_LEASE_H
#define MAPDIRECT_LEASE_H

#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <mapdirect/uapi.h>

#include "extent.h"
#include "protect.h"

struct file;
struct inode;
struct pid;
struct seq_file;
struct vm_area_struct;

/* What acquire has taken so far, in its order; teardown gives it back. */
enum md_stage {
	MD_STAGE_NONE,
	MD_STAGE_LISTED,   /* range reserved, memory accounted, nrpages counted */
	MD_STAGE_LEASED,   /* the layout lease stands */
	MD_STAGE_NOTIFIED, /* and the notifier watches the anchor */
};

/* Who breaks; taken where current is the breaker. */
struct md_breaker {
	struct pid *tgid;
	char comm[TASK_COMM_LEN];
};

struct md_lease {
	u64 generation;
	struct file *file; /* our own open of the leased file */
	struct inode *inode; /* valid as long as file is */
	dev_t dev;
	unsigned long ino;
	struct inode *map_inode; /* private: what the lease fd maps */
	struct mm_struct *mm;	 /* mmgrab()ed: for comparison, never used */
	struct pid *holder;
	char comm[TASK_COMM_LEN];
	u64 acquired_ns;
	pgoff_t index; /* first page in the file */
	unsigned long nr_pages;
	unsigned long addr; /* of the anchor in mm */
	enum md_stage stage;
	unsigned long counted; /* what we added to mapping->nrpages */
	struct md_extents extents;

	struct list_head link;
	bool unshared; /* under the list lock: seen to be no CoW file, and leased since then */
	struct mutex lock; /* outermost */
	struct rw_semaphore gate;
	bool shut; /* under gate: no page may be inserted any more */

	spinlock_t state_lock; /* innermost; everything down to wait */
	enum mapdirect_state state; /* 0 while acquiring */
	enum mapdirect_reason reason;
	struct md_breaker breaker;
	u64 break_ns;
	u64 deadline_ns; /* 0: not known yet */
	bool revoked;	 /* the deadline passed */
	u64 gone_ns;	 /* when the mm ended or execed: nobody is left to kill; or 0 */
	bool closed;	 /* the last reference to the lease fd went */
	unsigned int unread; /* bit per enum mapdirect_event_type */
	wait_queue_head_t wait;

	struct mmu_interval_notifier notifier;
	struct work_struct break_work;
	struct delayed_work reap_work;
	unsigned long backoff; /* jiffies, of reap_work */
	bool acquired;	       /* reap_work may begin */
};

/* A lease serves the mm that took it, and nobody who got hold of its descriptor. */
static inline bool md_is_holder(const struct md_lease *l, const struct mm_struct *mm)
{
	return mm == l->mm || !md_protected(MD_PROTECT_HOLDER);
}

/* lease.c */
extern struct workqueue_struct *md_wq;
int md_leases_init(void);
void md_leases_exit(void);
struct md_lease *md_lease_new(struct file *file, const struct mapdirect_lease *arg);
void md_lease_free(struct md_lease *l);
int md_lease_list(struct md_lease *l);
bool md_lease_breaking_near(struct inode *inode);
bool md_lease_unshared_near(struct inode *inode);
void md_lease_set_unshared(struct md_lease *l, bool unshared);
void md_lease_teardown(struct md_lease *l);
u64 md_lease_deadline(struct md_lease *l);
void md_lease_for_each(struct seq_file *m, void (*show)(struct seq_file *, struct md_lease *));

/* acquire.c */
int md_acquire(struct mapdirect_lease *arg, struct file **filep);

/* break.c */
int md_break_arm_lease(struct md_lease *l);
void md_break_disarm_lease(struct md_lease *l);
int md_break_arm_notifier(struct md_lease *l);
void md_break_disarm_notifier(struct md_lease *l);
void md_break_init(struct md_lease *l);
unsigned int md_break_cap_ms(void);
u64 md_break_cap_ns(void);

/* reap.c */
void md_reap_init(struct md_lease *l);
void md_reap_begin(struct md_lease *l);
void md_reap_kick(struct md_lease *l);
void md_reap_close(struct md_lease *l);
int md_release(struct md_lease *l);

/* mapping.c */
int md_mapping_new(struct md_lease *l);
void md_mapping_free(struct md_lease *l);
struct file *md_mapping_file(struct md_lease *l);
int md_mapping_mmap(struct md_lease *l, struct vm_area_struct *vma);
void md_mapping_shut(struct md_lease *l);

/* file.c */
extern const struct file_operations md_lease_fops;

/* list.c */
int md_list_init(void);
void md_list_exit(void);
void md_list_show(struct seq_file *m, struct md_lease *l);

#endif
