/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The memory of the scratch device as a device-dax, without a file system. */
#ifndef MD_TEST_GUEST_DAX_MODE_H
#define MD_TEST_GUEST_DAX_MODE_H

/*
 * Unmounts and converts it. Returns the path of the device; skips the case if
 * there is none that could be converted.
 */
const char *dax_mode_enter(void);

/* Back to a block device with a new file system, as other suites expect it. */
void dax_mode_leave(void);

#endif
