/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Leases of fcntl(2), and the thread that hears of their breaks.
 *
 * The kernel tells of a break by a signal to a thread, not by a descriptor; a
 * signalfd would do only in the thread that the signal is for. So one thread of
 * the library takes the signals for all leases of the process, while there is
 * any, and writes to an eventfd of each.
 */
#ifndef MD_LIB_FCNTL_WATCH_H
#define MD_LIB_FCNTL_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "lease.h"

/* Of one lease that is broken, then revoked. */
#define MD__FCNTL_NOTICES 2

struct md__fcntl_lease {
	int file;  /* leased; the library's own descriptor */
	int event; /* an eventfd, readable when there is a notice */

	/* The watch's own. */
	dev_t dev;
	ino_t ino;
	uint64_t taken;
	uint64_t deadline; /* when the kernel ends it by itself; 0: never */
	bool watched;
	bool broken;
	bool revoked;
	struct md__notice notice[MD__FCNTL_NOTICES];
	unsigned int notices;
	TAILQ_ENTRY(md__fcntl_lease) leases;
};

/*
 * Whoever has leases wants the thread: the first starts it, the last to leave
 * ends it. 0, or -1 with errno and sentence.
 */
int md__fcntl_watch_enter(void);
void md__fcntl_watch_leave(void);

/**
 * md__fcntl_watch_take - lease a file for writing and watch it, having entered
 * @lease: with @file and @event
 *
 * 0, or -1 with errno: EEXIST if the open file has a lease, EAGAIN if the file
 * is open elsewhere, or what fcntl(2) fails with.
 */
int md__fcntl_watch_take(struct md__fcntl_lease *lease);

/*
 * Watch it no more, and give it back. 0 when it is over; -1 with EACCES while it
 * is not, and this process has no right to end it: may be repeated.
 */
int md__fcntl_watch_end(struct md__fcntl_lease *lease);

/* Has the open file a lease, of this process? */
bool md__fcntl_watch_taken(int file);

/* 1 with a notice, 0 without. */
int md__fcntl_watch_read(struct md__fcntl_lease *lease, struct md__notice *notice);

#endif
