/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Processes of a case, and waiting with a limit. */
#ifndef MD_TEST_GUEST_CHILD_H
#define MD_TEST_GUEST_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A process that runs fn(arg) and exits with status 0. It has nothing of its
 * parent's verbs devices: if the parent dies in a break, a breaker that kept its
 * regions would wait for itself, and a write(2) that waits cannot be killed.
 */
pid_t child_start(void (*fn)(void *arg), void *arg);

/* Leaves what was inherited: the descriptors, and the mapped queues. */
void child_leave_device(void);

/* The same as child_start(), with descriptors and queues. */
pid_t child_start_with_files(void (*fn)(void *arg), void *arg);

/* Did it end within the limit? It is a zombie no more then. */
bool child_wait(pid_t pid, int limit_ms, int *status);

/* It must end with status 0 in time. */
void child_finish(pid_t pid);

/* It must have died, or die, of this signal. */
void child_killed(pid_t pid, int signal, int limit_ms);

/*
 * This process and those that it starts run on one processor, of which policy
 * SCHED_FIFO gives nothing to them.
 */
void child_schedule(int policy);

/* Calls until(arg) until it is true; false when the limit was over. */
bool wait_until(bool (*until)(void *arg), void *arg, int limit_ms);

/* For wait_until(): of an atomic_bool. */
bool is_true(void *flag);

/* Memory that a process shares with those that it starts; zeroes. */
void *shared_new(size_t size);

/* CLOCK_MONOTONIC */
uint64_t now_ns(void);

#endif
