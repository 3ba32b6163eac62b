/* SPDX-License-Identifier: GPL-2.0-only */
/* Blocks that a store could move. */
#ifndef MAPDIRECT_COW_H
#define MAPDIRECT_COW_H

struct md_lease;

/* -EMLINK: the file shares blocks, or did. */
int md_cow_check(struct md_lease *l);

#endif
