/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The module's device and a DAX file system without a kernel: what the library
 * asks of /dev/mapdirect, of its leases and of files on XFS is answered here,
 * over any file (fault.h). Thread-safe.
 */
#ifndef MD_TEST_FAKE_KMOD_H
#define MD_TEST_FAKE_KMOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mapdirect/uapi.h>

#define FAKE_BREAKER_PID 4712

/* What it answers; set by the test while nobody asks. */
struct fake_kmod {
	struct mapdirect_info info;
	bool dax;
	bool xfs;
	bool leases_enable;
	bool shared;	/* the file shares blocks, until fallocate() copies them */
	bool marked;	/* and it counts as shared until then, though it may not be */
	uid_t owner;	/* of every file */
	uint64_t space; /* bytes that are free on the file system */
	uint64_t foreign;
	unsigned int unshared; /* how often fallocate() copied */
};

extern struct fake_kmod fake_kmod;

/* Stand in for the system from now on, with all well; no lease is held. */
void fake_kmod_install(void);

/* Tell every lease. The deadline is @ms from now, 0: none. */
void fake_kmod_event(enum mapdirect_event_type type, enum mapdirect_reason reason, unsigned int ms);

unsigned int fake_kmod_held(void);
bool fake_kmod_covers(const void *addr, size_t length);

#endif
