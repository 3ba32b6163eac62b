/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A sysfs for the library in which /dev/zero is a device-dax, of persistent memory. */
#ifndef MD_TEST_FAKE_DAX_H
#define MD_TEST_FAKE_DAX_H

#include <stddef.h>

#define FAKE_DAX_ALIGN ((size_t)4 << 20)

/* Where its attributes are. */
#define FAKE_DAX_REGION "devices/ndbus0/region0"
#define FAKE_DAX FAKE_DAX_REGION "/dax0.0/dax0.0"

void fake_dax_setup(void);
void fake_dax_teardown(void);

/* Other contents than those of setup. */
void fake_dax_file(const char *name, const char *text);
void fake_dax_link(const char *name, const char *target);

#endif
