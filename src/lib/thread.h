/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Threads of the library. */
#ifndef MD_LIB_THREAD_H
#define MD_LIB_THREAD_H

#include <pthread.h>

/**
 * md__thread_start - start a thread that has all signals blocked
 *
 * They are the application's threads' concern. Otherwise as pthread_create(3): returns 0
 * or an errno, and does not set errno.
 */
int md__thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
