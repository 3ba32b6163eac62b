/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A memory barrier that one thread makes for all threads of the process, so that
 * those that are in a hurry need none of their own: membarrier(2),
 * MEMBARRIER_CMD_PRIVATE_EXPEDITED, Linux 4.14 and later.
 */
#ifndef MD_LIB_BARRIER_H
#define MD_LIB_BARRIER_H

#include <stdbool.h>

/**
 * md__barrier_prepare - ask the kernel for it
 *
 * Returns false where there is none: an older kernel, or a filter of system calls.
 * A process that was prepared stays so, its children after fork(2), too. Thread-safe.
 */
bool md__barrier_prepare(void);

/**
 * md__barrier_all - a full memory barrier in each thread of the process
 *
 * When it returns, each thread has passed through one since it was called: what a
 * thread stored before is visible here, and what was stored here before is seen by
 * what a thread loads after it. Does nothing unless md__barrier_prepare() returned
 * true. Cannot fail and keeps errno; takes some microseconds, but where the fast way
 * (barrier.c) is barred, up to some ten milliseconds.
 */
void md__barrier_all(void);

#endif
