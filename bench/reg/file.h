/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Files to lease: allocated and written, and gone when they are closed. */
#ifndef BENCH_REG_FILE_H
#define BENCH_REG_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* A descriptor, or -1: there is no room. */
int file_make(const char *path, size_t length);

/* The same, but in as many pieces as the file system can be made to. */
int file_make_fragmented(const char *path, size_t length);

/*
 * How many extents it has. @huge: do all but the last begin at a boundary of 2 MiB on
 * the device, and are they whole multiples of it?
 */
size_t file_extents(int fd, bool *huge);

#endif
