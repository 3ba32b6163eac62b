/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Another process that changes a file again and again. */
#ifndef MD_TEST_GUEST_LIB_VANDAL_H
#define MD_TEST_GUEST_LIB_VANDAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct vandal_change {
	int (*change)(int fd, off_t where); /* a list of these ends with NULL */
	off_t where;
};

struct vandal {
	pid_t pid;
	atomic_uint changes;  /* done so far */
	atomic_ulong spoiled; /* bytes of canaries that are not what they were */
	/* the rest is its own */
	char path[128];
	const struct vandal_change *list;
	unsigned int pause_us;
	const char *canaries;
	atomic_bool go, stop;
};

/*
 * Starts it; it waits. To be called before there is anything that it should not
 * inherit. Between two changes it pauses for a random time up to pause_us. If
 * canaries is not NULL, it makes files on that file system, which may get the
 * blocks that it took out of the file, and looks after them.
 */
struct vandal *vandal_start(const char *path, const struct vandal_change *list,
			    unsigned int pause_us, const char *canaries);
void vandal_go(struct vandal *v);

/* Has it come to the end of its list, and to its own? Asks it to. */
bool vandal_ended(struct vandal *v);

/* 64 KiB */
int vandal_punch(int fd, off_t where);
int vandal_zero(int fd, off_t where);
int vandal_write(int fd, off_t where);

#endif
