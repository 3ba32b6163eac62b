/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who holds a lease: a file, its anchor, the lease and the mapping of it. */
#ifndef MD_TEST_GUEST_HOLDER_H
#define MD_TEST_GUEST_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mapdirect/uapi.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)

struct holder {
	char path[128];
	int fd;
	off_t offset; /* of the leased range */
	size_t length;
	char *anchor;
	int lease;
	char *map;
	uint64_t generation;
};

int holder_device(void);

/* A new file of the case (an old one loses its name), all of it allocated and written (zeroes). */
void holder_file(struct holder *h, const char *fs, const char *name, size_t size);

/* Maps the anchor, at an address that allows huge pages. */
void holder_anchor(struct holder *h, off_t offset, size_t length);

/* Asks for the lease: the lease fd, or -1 and errno. */
int holder_try_lease(struct holder *h, unsigned int flags);

/* Anchor, lease and mapping, which must all be had. */
void holder_take(struct holder *h, off_t offset, size_t length);

/* The next event, which must come soon. */
void holder_event(struct holder *h, struct mapdirect_event *ev);
bool holder_has_event(struct holder *h);

/* Does anybody hold a lease? The kernel lists one until its last page is unpinned. */
bool holder_exists(void *unused);

/* The same, and one of them has all of it: taking a lease takes a while. */
bool holder_is_live(void *unused);

/* The same, and one of them has been past its deadline for long. */
bool holder_is_stuck(void *unused);

/* The ioctl: 0, or -1 and errno. */
int holder_release(struct holder *h);

/* RELEASE must say EBUSY now, or 0 soon. */
void holder_release_busy(struct holder *h);
void holder_release_done(struct holder *h);

struct mapdirect_status holder_status(struct holder *h);

/* Can this byte be loaded and stored? SIGBUS and SIGSEGV mean no. */
bool touch(volatile char *p);

#endif
