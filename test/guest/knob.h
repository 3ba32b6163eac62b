/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Settings of the kernel that cases change, and that are restored after them. */
#ifndef MD_TEST_GUEST_KNOB_H
#define MD_TEST_GUEST_KNOB_H

#include <stdbool.h>

enum knob {
	KNOB_LEASE_BREAK_TIME, /* seconds */
	KNOB_LEASES_ENABLE,
	KNOB_BREAK_CAP,	  /* milliseconds */
	KNOB_UNPROTECTED, /* test builds: bit mask of protections that are off */
	KNOB_FAIL_STEP,	  /* test builds: which step of taking a lease fails */
	KNOB_PAUSE_STEP,  /* test builds: at which one it waits (race.h) */
	KNOB_COUNT
};

void knob_save(void);
void knob_restore(void);
bool knob_exists(enum knob k);
void knob_set(enum knob k, unsigned int value);
unsigned int knob_get(enum knob k);

#endif
