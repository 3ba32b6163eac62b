/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Failures of the system, of verbs and of the allocator, at the library's calls
 * only: in the copy of it that these tests link, each symbol of fault.syms is
 * renamed to the function of the same name with fault_ before it.
 *
 * A call is named "read", or "ioctl LEASE" where it matters what was asked.
 */
#ifndef MD_TEST_FAULT_H
#define MD_TEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/vfs.h>

enum fault_kind {
	FAULT_ERROR, /* each call with an errno that is usual for it */
	FAULT_EINTR, /* only the calls that a signal can interrupt */
};

/* From now on, in any thread, the @nth call that can (1: the next) fails. */
void fault_arm(unsigned int nth, enum fault_kind kind);

/* From now on, in any thread, the next call of that name fails. */
void fault_arm_call(const char *name, enum fault_kind kind);

/* Let no call fail any more, forced ones included. */
void fault_disarm(void);

/* The call that failed since it was armed, and with what errno; or NULL, 0. */
const char *fault_fired(void);
bool fault_fired_here(void); /* in this thread */
int fault_error(void);

/* From now on the next @times calls of that name fail. Up to four names. */
void fault_force(const char *name, unsigned int times, int error);

/*
 * A call that can fail so, and never did since the program was started; the
 * next one, with what @at, at first 0, was left at; NULL: that was all.
 */
const char *fault_untried(enum fault_kind kind, size_t *at);

/* What the library has now and must give back. */
struct fault_balance {
	long blocks; /* allocated */
	long bytes;  /* of address space */
	long fds;
};

struct fault_balance fault_balance(void);

/* What was left mapped on purpose is not to be missed any more. */
void fault_forget_bytes(long bytes);

/* What stands in for the system; a member that is NULL is the system's own. */
struct fault_sys {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
	int (*mincore)(void *addr, size_t length, unsigned char *there);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatfs)(int fd, struct statfs *fs);
	int (*fstatvfs)(int fd, struct statvfs *fs);
	int (*statx)(int fd, const char *path, int flags, unsigned int mask, struct statx *stx);
	int (*fallocate)(int fd, int mode, off_t offset, off_t length);
};

extern struct fault_sys fault_sys;

#endif
