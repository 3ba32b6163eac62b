/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What kernel memory a lease holds, by size. mem/lease/SIZE is all that is allocated
 * for md_map() and stays, but for page tables: the module's structures, and what else
 * the kernel has of a lease (files, inode, mappings). mem/lease_pagetables/SIZE is the
 * page tables, mem/lease_fragmented/SIZE a control: a file in many pieces needs more,
 * and how much more is known.
 */
#ifndef BENCH_REG_MEMORY_H
#define BENCH_REG_MEMORY_H

#include "options.h"

/* An exit code: 1 if the control shows that the measure does not work. */
int memory_measure(const struct options *opt);

#endif
