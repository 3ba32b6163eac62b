/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What breakers do, and others that break nothing, to a file of this shape. */
#ifndef MD_TEST_GUEST_OPS_H
#define MD_TEST_GUEST_OPS_H

#include "holder.h"

#define OPS_FILE_SIZE (8 * MIB)
/* What is leased; there is something of the file on both sides of it. */
#define OPS_FROM (2 * MIB)
#define OPS_LENGTH (4 * MIB)
/* From here on, and unless it is to the end of the file, so much is changed. */
#define OPS_INSIDE (3 * MIB)
#define OPS_OUTSIDE (7 * MIB)
#define OPS_CHANGED MIB
#define OPS_WRITTEN (8 * KIB)

/* All of them are a file_op (breaker.h). What they write is zeroes. */
int truncate_inside(const char *path);
int truncate_outside(const char *path);
int truncate_up(const char *path);
int cut_and_extend(const char *path);
int open_trunc(const char *path);
int punch_inside(const char *path);
int punch_outside(const char *path);
int zero_inside(const char *path);
int collapse_inside(const char *path);
int insert_inside(const char *path);
int unshare_inside(const char *path);
int allocate_beyond(const char *path);
int write_inside(const char *path);
int write_outside(const char *path);
int write_beyond(const char *path);

/* The other file of these is PATH.twin. */
int reflink_from(const char *path);
int reflink_onto(const char *path);
int copy_onto(const char *path);
int dedupe_from(const char *path);
int dedupe_onto(const char *path);
int swap_with_twin(const char *path);
/* XFS_IOC_EXCHANGE_RANGE, as the first or second file of it. */
int exchange_first(const char *path);
int exchange_second(const char *path);

int do_unlink(const char *path);
int do_rename(const char *path);
int do_chmod(const char *path);
int do_fsync(const char *path);
int do_read(const char *path);
int do_store(const char *path);
int do_msync(const char *path);
int do_drop_caches(const char *path);

/* Of any file. Append leaves nothing to allocate: it is the break that takes the time. */
int ops_append(const char *path);
int ops_overwrite(const char *path);

#endif
