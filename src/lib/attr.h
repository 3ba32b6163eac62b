/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Structures that begin with their size. */
#ifndef MD_LIB_ATTR_H
#define MD_LIB_ATTR_H

#include <stddef.h>

/**
 * md__attr_take - copy what the caller set into this library's idea of it
 * @own:      filled in, zero where the caller's is shorter
 * @own_size: size that this library knows
 * @attr:     the caller's, NULL for all defaults
 * @name:     for the sentence
 *
 * 0, or -1 with EINVAL: a caller built with a newer header may set only what
 * this library knows.
 */
int md__attr_take(void *own, size_t own_size, const void *attr, const char *name);

/* Is the size in a structure that is to be filled for the caller one? 0, or -1. */
int md__attr_check(const void *attr, const char *name);

/* Fills it: as much as it has room for, and zeroes where it is longer. */
void md__attr_give(void *attr, const void *own, size_t own_size);

#endif
