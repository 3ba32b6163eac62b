/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the kernel and this process have in memory. */
#ifndef MD_TEST_GUEST_MEMINFO_H
#define MD_TEST_GUEST_MEMINFO_H

#include <sys/types.h>

/* What the kernel uses for itself and cannot drop, in KiB. Takes a second. */
long meminfo_kernel(void);

/* Right after that: what is left of inodes, directory entries and the like, in KiB. */
long meminfo_reclaimable(void);

/* The page tables of this process, in KiB. */
long meminfo_page_tables(void);

/* What a process has in memory of its own, in KiB. */
long meminfo_anonymous(pid_t pid);

/* The address space of this process, reserved or used, in KiB. */
long meminfo_virtual(void);

/* How many page faults this process has had that needed no I/O. */
long meminfo_faults(void);

#endif
