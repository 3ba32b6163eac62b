/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What sysfs says of a character device that may be a device-dax. */
#ifndef MD_LIB_DAX_DEVICE_H
#define MD_LIB_DAX_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct md__dax_device {
	uint64_t size;
	uint64_t align;	 /* of offsets, lengths and addresses of its mappings */
	bool persistent; /* not the volatile kind */
};

/**
 * md__dax_device_look - ask for a device
 * @number: its number
 * @dax:    filled in
 *
 * 0, or -1 with errno: ENODEV if it is none.
 */
int md__dax_device_look(dev_t number, struct md__dax_device *dax);

/* Where sysfs is mounted; tests have one of their own. */
extern const char *md__dax_device_sysfs;

#endif
