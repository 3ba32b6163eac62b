/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* XFS_IOC_SWAPEXT, by which xfs_fsr(8) gives a file other blocks. */
#ifndef MD_TEST_GUEST_SWAP_H
#define MD_TEST_GUEST_SWAP_H

/*
 * Swaps the blocks of two files of the same size, as another process; the
 * target's times are given as they are at this moment. Returns 0 or an errno.
 */
int swap_extents(const char *target, const char *donor);

#endif
