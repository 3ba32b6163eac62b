/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A guard, new for each case, and processes in which threads cannot have slots of their own. */
#ifndef MD_TEST_GUARD_FIXTURE_H
#define MD_TEST_GUARD_FIXTURE_H

#include "guard.h"
#include "unit.h"

extern struct md__guard guard;
extern int guard_wake_fd;

/* How often it was woken since the last call. */
unsigned int guard_wakes(void);

/* From now on membarrier(2) fails in this thread, and those that it starts. */
bool guard_deny_barriers(void);

/* As unit_main(). With GUARD_WITHOUT=membarrier or key in the environment no thread has a slot. */
int guard_main(const char *suite, const struct unit_case *cases, int argc, char **argv);

#endif
