/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef MD_LIB_UNSHARE_H
#define MD_LIB_UNSHARE_H

#include "lease.h"

/**
 * md__unshare - give a file blocks of its own before a range of it is mapped
 * @range: the range
 * @lease: to be taken, of which this is a step; @lease->done: so many bytes of the file
 *         have no other owner. If it is to be restored, does not wait for whoever has
 *         the inode locked, but fails with EAGAIN
 *
 * All of the file: as long as any of it is shared, XFS moves blocks nearby when
 * they are stored to, and the module refuses the lease (EMLINK).
 *
 * The first store to a reflinked block would do so too. But on Linux 6.1 a
 * store fault that copies 4 KiB where the page cache has a huge DAX entry
 * replaces that entry by a small one (dax_insert_entry() in fs/dax.c): the
 * count of pages is wrong from then on, and the kernel panics when the inode is
 * evicted. fallocate(2) copies without such a fault, once what is dirty is
 * written back.
 *
 * It is a layout change: leases of others on the file are broken by it. The
 * caller must not hold one.
 *
 * 0, or -1 with errno and sentence: EAGAIN, ENOSPC, EIO, and what
 * md__populate_step() fails with. After a pause, another call goes on.
 */
int md__unshare(const struct md__range *range, struct md__lease *lease);

/**
 * md__unmark - have the inode not count as shared any more
 * @range: the range
 * @lease: as above; @lease->done counts bytes of the range
 *
 * For a file of which nothing is shared, but which XFS still takes for shared.
 * All else as above.
 */
int md__unmark(const struct md__range *range, struct md__lease *lease);

#endif
