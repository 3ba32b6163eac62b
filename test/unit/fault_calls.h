/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the functions that stand in for the system's have in common: fault.h. */
#ifndef MD_TEST_FAULT_CALLS_H
#define MD_TEST_FAULT_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>

#define NEVER 0 /* for an errno: the arguments are right, and it needs nothing */
#define SIGNAL true

/*
 * Sets errno and says true, or says false. @error: NEVER, or an errno that is
 * usual for the call; @interrupted: SIGNAL, if a signal can make it fail.
 */
bool fault__fails(const char *name, int error, bool interrupted);

/* What the library has: see struct fault_balance. */
extern atomic_long fault__blocks, fault__bytes, fault__fds;

#endif
