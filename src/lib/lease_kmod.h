/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The provider for fsdax files: layout leases through /dev/mapdirect. */
#ifndef MD_LIB_LEASE_KMOD_H
#define MD_LIB_LEASE_KMOD_H

#include "lease.h"

extern const struct md__lease_ops md__lease_kmod;

#endif
