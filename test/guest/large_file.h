/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Files of 2 GiB, where the first file system has room for one. */
#ifndef MD_TEST_GUEST_LARGE_FILE_H
#define MD_TEST_GUEST_LARGE_FILE_H

#include <stdint.h>

#include "holder.h"

#define LARGE (2048 * MIB)

/* Free bytes of the file system. */
uint64_t large_room(void);

/* Skips the case unless there is room for the file, and some more. */
void large_need_room(void);

/* A new file of the case, LARGE and without a block. */
void large_hole(struct holder *h, const char *name);

#endif
