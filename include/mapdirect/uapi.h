/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * The interface of /dev/mapdirect, shared by the module and the library.
 *
 * Every structure is extended only at its end. The size that the caller was
 * built with travels in the ioctl number (_IOC_SIZE). What the caller fills
 * (MAPDIRECT_IOC_LEASE): a shorter structure is padded with zeroes, a longer
 * one is accepted as long as the part that the module does not know is zero,
 * and refused with E2BIG otherwise. What the module fills (INFO, STATUS): cut
 * to the size of a shorter one, and the unknown part of a longer one is zeroed.
 */
#ifndef MAPDIRECT_UAPI_H
#define MAPDIRECT_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MAPDIRECT_ABI_VERSION 1

/* How the module keeps pages in place; mapdirect_info.mode. */
enum mapdirect_mode {
	MAPDIRECT_MODE_PINNED = 1, /* every page of a lease is pinned */
};

/* mapdirect_info.features */
#define MAPDIRECT_FEATURE_HUGE 0x1ULL	 /* PMD mappings of the lease fd */
#define MAPDIRECT_FEATURE_TESTING 0x2ULL /* a test build: not for data */

/*
 * MAPDIRECT_IOC_INFO on /dev/mapdirect.
 * @abi:          MAPDIRECT_ABI_VERSION of the module
 * @mode:         enum mapdirect_mode
 * @features:     MAPDIRECT_FEATURE_* bits
 * @break_cap_ms: no break lasts longer than this before the holder is killed,
 *                whatever /proc/sys/fs/lease-break-time says
 */
struct mapdirect_info {
	__u32 abi;
	__u32 mode;
	__u64 features;
	__u32 break_cap_ms;
	__u32 reserved;
};

/* mapdirect_lease.flags */
#define MAPDIRECT_LEASE_ALLOCATE 0x1U /* allocate and write through holes */

/*
 * MAPDIRECT_IOC_LEASE on /dev/mapdirect: takes the layout lease on
 * [offset, offset + length) of @fd and pins its pages. Returns the lease file
 * descriptor (always close-on-exec).
 * @fd:         the file, open for reading and writing
 * @flags:      MAPDIRECT_LEASE_* bits
 * @offset:     bytes, a multiple of the page size
 * @length:     bytes, a multiple of the page size, not 0; the range may end in
 *              the page that holds the end of the file, and no later
 * @addr:       where the caller mapped exactly this range of @fd with
 *              MAP_SHARED_VALIDATE | MAP_SYNC and PROT_READ | PROT_WRITE. This
 *              mapping is the anchor: it carries the notice of truncate and
 *              hole punch, so it must stay. Unmapping any part of it is a break.
 * @generation: in: 0; out: the number of this lease, which only increases
 *
 * errno:
 *   EINVAL        unaligned or empty range or address, unknown flag,
 *                 @generation not 0
 *   EOVERFLOW     the range ends beyond the largest file, or addr + length
 *                 beyond the address space
 *   EBADF         @fd is not an open file descriptor
 *   EBADFD        @fd is not a regular file
 *   EACCES        @fd is not open for both reading and writing, or a security
 *                 module does not let the caller open the file once more
 *   ENODEV        the file is not accessed by DAX
 *   EOPNOTSUPP    its file system is not known to break layout leases before
 *                 it moves blocks on this kernel
 *   ENXIO         the range ends beyond the end of the file
 *   ENODATA       part of the range is a hole or unwritten, and
 *                 MAPDIRECT_LEASE_ALLOCATE was not given (unwritten blocks that
 *                 a mapping touched count as data, and are made written)
 *   EADDRNOTAVAIL @addr is not a shared, writable MAP_SYNC mapping of the range
 *   EMLINK        the file shares blocks with others, or did since XFS last found
 *                 that it does not: a store could move blocks of it. Make it
 *                 unshare them (FALLOC_FL_UNSHARE_RANGE on all that is shared,
 *                 after syncfs(2)), or copy it
 *   EPERM         the caller neither owns the file nor has CAP_LEASE
 *   ENOLCK        leases are switched off (/proc/sys/fs/leases-enable is 0)
 *   EEXIST        the range overlaps a lease that is not over yet
 *   EAGAIN        a break is under way, or one came during the call, or others
 *                 kept the inode locked for a second, or the file system is
 *                 frozen, or a lease of fcntl(2) on the file is in the way: retry
 *   EBUSY         the extents did not hold still during the call
 *   ENOMEM        no memory, or RLIMIT_MEMLOCK would be exceeded
 *   EMFILE,
 *   ENFILE        no file descriptor left, or no open file
 *   EFAULT        a page could not be faulted in: no space, or an I/O error
 *   EINTR         a signal came while pages were faulted in (what was allocated
 *                 by then stays, and a repeated call gets further), or a fatal
 *                 one at any time
 */
struct mapdirect_lease {
	__s32 fd;
	__u32 flags;
	__u64 offset;
	__u64 length;
	__u64 addr;
	__u64 generation;
};

/* What a lease is doing; mapdirect_status.state. */
enum mapdirect_state {
	MAPDIRECT_STATE_LIVE = 1,
	MAPDIRECT_STATE_BREAKING,  /* a break is under way, mapping usable */
	MAPDIRECT_STATE_RELEASING, /* mapping shut, foreign pins remain */
	MAPDIRECT_STATE_RELEASED,  /* nothing is held any more */
	MAPDIRECT_STATE_STUCK,	   /* a second past the deadline, and pins remain */
};

enum mapdirect_event_type {
	MAPDIRECT_EVENT_BREAK = 1, /* stop, deregister and RELEASE by the deadline */
	MAPDIRECT_EVENT_REVOKED,   /* the deadline passed: the mapping is shut */
};

enum mapdirect_reason {
	MAPDIRECT_REASON_LAYOUT = 1, /* the file system asked through the lease */
	/*
	 * Blocks are being taken from the mapping; or the holder split a huge
	 * page of the anchor, by munmap or mprotect of a part, which looks alike.
	 */
	MAPDIRECT_REASON_TRUNCATE,
	MAPDIRECT_REASON_UNMAP, /* the holder unmapped part of the anchor */
};

/*
 * read(2) on a lease fd, by the mm that took the lease only (else EPERM),
 * returns one event at a time, as many bytes of it as the caller asks for but
 * no less than this first version (else EINVAL).
 * Without an event it blocks, or fails with EAGAIN under O_NONBLOCK; once the
 * lease is over and all events were read it returns 0. poll(2) gives POLLIN
 * when there is an event, and POLLHUP once the lease is over.
 * @type:         enum mapdirect_event_type
 * @reason:       enum mapdirect_reason: what started the break
 * @generation:   of the lease
 * @time_ns:      CLOCK_MONOTONIC, when the kernel noticed
 * @deadline_ns:  CLOCK_MONOTONIC, when the mapping is shut and, if foreign
 *                pins remain, every process of the holder's mm is killed
 * @breaker_pid:  process id in the reader's pid namespace, 0 if not visible
 * @breaker_comm: name of the breaking thread, terminated by a zero byte
 */
struct mapdirect_event {
	__u32 type;
	__u32 reason;
	__u64 generation;
	__u64 time_ns;
	__u64 deadline_ns;
	__s32 breaker_pid;
	__u32 reserved;
	char breaker_comm[16];
};

/*
 * MAPDIRECT_IOC_STATUS on a lease fd, by the mm that took the lease only
 * (else EPERM).
 * @state:         enum mapdirect_state
 * @reason:        enum mapdirect_reason, 0 if no break was seen
 * @generation:    of the lease
 * @pages:         pages that the lease pins
 * @foreign_pages: of these, pages that somebody else holds a reference to
 * @deadline_ns:   CLOCK_MONOTONIC, 0 if no break was seen
 */
struct mapdirect_status {
	__u32 state;
	__u32 reason;
	__u64 generation;
	__u64 pages;
	__u64 foreign_pages;
	__u64 deadline_ns;
};

#define MAPDIRECT_IOC_MAGIC 0xdb
#define MAPDIRECT_IOC_INFO _IOR(MAPDIRECT_IOC_MAGIC, 0x00, struct mapdirect_info)
#define MAPDIRECT_IOC_LEASE _IOWR(MAPDIRECT_IOC_MAGIC, 0x01, struct mapdirect_lease)
#define MAPDIRECT_IOC_STATUS _IOR(MAPDIRECT_IOC_MAGIC, 0x02, struct mapdirect_status)

/*
 * On a lease fd, by the mm that took the lease only (else EPERM). Shuts the
 * mapping of the lease first: every later access to it is SIGBUS. Then looks
 * for foreign references. EBUSY: some remain, everything is still held, and
 * the call is to be repeated. 0: the lease is over and the breaker goes on.
 * Never blocks on foreign references. Idempotent. Closing the descriptor does
 * the same in the background, and waits there for as long as it takes.
 */
#define MAPDIRECT_IOC_RELEASE _IO(MAPDIRECT_IOC_MAGIC, 0x03)

#endif
