/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The provider for a device-dax: no file system, so nobody to ask and no break. */
#ifndef MD_LIB_LEASE_DEVDAX_H
#define MD_LIB_LEASE_DEVDAX_H

#include "lease.h"

extern const struct md__lease_ops md__lease_devdax;

/* Is the memory of the device persistent? 0, or -1 with errno and sentence. */
int md__devdax_lasts(const struct md__range *range);

#endif
