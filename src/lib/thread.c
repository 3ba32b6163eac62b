// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <signal.h>

#include "thread.h"

/* A new thread has the mask of the one that makes it. */
int md__thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}
