/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef MD_LIB_PROC_H
#define MD_LIB_PROC_H

/* The number that a file of procfs holds, or -1. */
long md__proc_number(const char *path);

#endif
