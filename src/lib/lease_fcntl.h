/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The provider for files that are not DAX: a write lease of fcntl(2).
 *
 * It breaks when the file is opened, or truncated by its path, and for nothing
 * else; whoever had it open before keeps it from being taken. Pages that the
 * file loses under a region stay what they are, in no file: so no promise of
 * the kind that the module makes is needed, and none is made.
 */
#ifndef MD_LIB_LEASE_FCNTL_H
#define MD_LIB_LEASE_FCNTL_H

#include "lease.h"

extern const struct md__lease_ops md__lease_fcntl;

#endif
