/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Processes beside the holder, and the memory that they share with it. */
#ifndef BENCH_BREAK_CHILD_H
#define BENCH_BREAK_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Zeroed; shared with all children that are started after it. */
void *shared_new(size_t size);

/* It ends with @run, or with its parent. */
pid_t child_start(void (*run)(void *arg), void *arg);

/* Its exit code, as of a shell. */
int child_wait(pid_t pid);

/* Once it is stopped it takes no more steps, until it is continued. */
void child_stop(pid_t pid);
void child_continue(pid_t pid);

/* Ends the program, with what @what says, if that is not so within half a minute. */
void wait_until(bool (*is_so)(const void *arg), const void *arg, const char *what);

#endif
