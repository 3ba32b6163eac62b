/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A device whose file system may be destroyed: $MD_TEST_SCRATCH, a block device
 * with fsdax, mounted at suite_fs[1].
 */
#ifndef MD_TEST_GUEST_SCRATCH_H
#define MD_TEST_GUEST_SCRATCH_H

/* Its path. Skips the case when there is none. */
const char *scratch_device(void);

/* Must be possible, soon. */
void scratch_unmount(void);

/* A new file system in the place of whatever is there; mkfs: "TYPE OPTION...". */
void scratch_make(const char *mkfs, const char *type, const char *mount_options);

/* The one that is there, with XFS_IOC_EXCHANGE_RANGE allowed; needs Linux 6.10. */
void scratch_allow_exchange(void);

/* The one that other suites expect. */
void scratch_restore(void);

#endif
