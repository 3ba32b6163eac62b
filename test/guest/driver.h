/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The driver of the scratch device (scratch.h), which can be taken from it. */
#ifndef MD_TEST_GUEST_DRIVER_H
#define MD_TEST_GUEST_DRIVER_H

#include "holder.h"

/* What nd_pmem calls the device. Skips the case when it is not its driver. */
const char *driver_device(void);

/* A file_op (breaker.h); its path is driver_device(). */
int driver_unbind(const char *device);

/* Gives the device back, and waits until it is there. */
void driver_bind(const char *device);

/*
 * Takes away what the file system remembers of the pages of this leased file.
 * The kernel would look at it when it unmounts, though the pages are no more,
 * and crash. Of all that does this only swapext leaves the lease alone.
 */
void driver_forget_pages(struct holder *h);

#endif
