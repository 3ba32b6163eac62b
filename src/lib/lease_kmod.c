// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "errmsg.h"
#include "fork.h"
#include "hole.h"
#include "kmod_check.h"
#include "lease_kmod.h"
#include "populate.h"
#include "reserve.h"
#include "service.h"
#include "unshare.h"

/*
 * Pages that have to be allocated take long, and one madvise() holds the mmap
 * lock throughout: let others map, and look for breaks, in between. Chunks end where
 * huge pages may end.
 */
#define FAULT_CHUNK ((size_t)2 << 20)
#define FAULT_TRIES 3
#define COPY_LOOK_US 1000

/* A file system is full before its last block is given away. */
#define SPACE_LOW ((uint64_t)4 << 20)

/* ---- acquire ------------------------------------------------------------- */

/*
 * Is there no space for the holes that are left? Not asked in advance: what
 * was just deleted may still be counted, and is freed when it is needed.
 */
static bool is_full(const struct md__range *range)
{
	struct md__hole hole;
	struct statvfs fs;
	uint64_t space;

	if (md__hole_find(range, &hole) || fstatvfs(range->fd, &fs))
		return false;
	space = (uint64_t)fs.f_bavail * fs.f_frsize;
	return space < hole.length || space < SPACE_LOW;
}

/*
 * The kernel says EFAULT to whatever keeps a page from being faulted in. If
 * all is well by now, the file was cut off and made longer again meanwhile: a
 * page that is broken fails each time.
 */
static int populate(const struct md__range *range, char *addr, size_t length)
{
	for (int tries = 1; madvise(addr, length, MADV_POPULATE_WRITE); tries++) {
		if (errno != EFAULT)
			return md__fail(errno, "cannot fault in the pages: %s: %s", strerror(errno),
					range->text);
		if (md__kmod_fits(range))
			return -1;
		if (is_full(range))
			return md__fail(ENOSPC, "the file system is full: free some space: %s",
					range->text);
		if (tries == FAULT_TRIES)
			return md__fail(
				EIO,
				"the file system could not give all pages: see the kernel log: %s",
				range->text);
	}
	return 0;
}

/*
 * Did a fault at @addr map the whole chunk as one huge page? In a mapping in which
 * nobody else faults, the last page shows it. If not, or if this cannot be told, the
 * rest is gone through page by page: that takes as long for pages that are there. Who
 * may not ask (mincore(2)) hears yes; then the module faults in what is missing.
 */
static bool is_huge(char *addr)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char there = 0;

	return !mincore(addr + FAULT_CHUNK - page, page, &there) && there & 1;
}

static int populate_chunk(const struct md__range *range, char *addr, size_t length)
{
	if (length == FAULT_CHUNK) {
		if (populate(range, addr, 1))
			return -1;
		if (is_huge(addr))
			return 0;
	}
	return populate(range, addr, length);
}

static int fault_in(const struct md__range *range, struct md__lease *lease, int flags)
{
	char *addr = lease->anchor;

	if (!lease->done &&
	    md__reserve_fill(addr, lease->length, flags, range->fd, (off_t)range->offset))
		return md__fail(errno, "cannot map the file%s: %s: %s",
				flags & MAP_SYNC ? " with MAP_SYNC" : "", strerror(errno),
				range->text);
	while (lease->done < lease->length) {
		size_t left = lease->length - lease->done;
		size_t room = FAULT_CHUNK - (uintptr_t)(addr + lease->done) % FAULT_CHUNK;
		size_t length = left < room ? left : room;

		if (populate_chunk(range, addr + lease->done, length))
			return -1;
		lease->done += length;
		if (md__populate_step(lease->populate, length))
			return -1;
	}
	return 0;
}

/*
 * Where a page has to be allocated, a fault by MAP_SYNC waits for the journal.
 * So let an ordinary mapping allocate, and have one wait for all pages; if
 * fsync() fails, the faults that follow will say so.
 */
static int allocate(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	struct md__hole hole;

	(void)ctx;
	if (!lease->done) {
		if (md__hole_find(range, &hole))
			return -1;
		if (!hole.length)
			return 0;
		md__populate_more(lease->populate, (int64_t)lease->length);
	}
	if (fault_in(range, lease, MAP_SHARED))
		return -1;
	fsync(range->fd);
	return 0;
}

/*
 * The anchor is what the kernel finds the pages by, and through it the module
 * hears of truncate. Faulted in for writing now, because the first write to a
 * reflinked extent moves it.
 */
static int map_anchor(struct md_context *ctx, const struct md__range *range,
		      struct md__lease *lease)
{
	(void)ctx;
	return fault_in(range, lease, MAP_SHARED_VALIDATE | MAP_SYNC);
}

static int fail_lease(const struct md__range *range)
{
	static const struct {
		int error;
		const char *why;
	} table[] = {
		{ ENODEV, "the file is not accessed by DAX: mount with dax=always" },
		{ EOPNOTSUPP,
		  "its file system is not known to break leases before it moves blocks on this kernel: use XFS" },
		{ ENXIO, "the file became shorter than the range: make it longer" },
		{ ENODATA,
		  "part of the range lost its blocks meanwhile: write it, or pass MD_MAP_ALLOCATE" },
		{ EADDRNOTAVAIL, "something else was mapped over the library's own mapping" },
		{ EMLINK,
		  "the file shares blocks, or did, and could not be given its own: copy it" },
		{ EPERM, "only the owner of the file or CAP_LEASE may lease it" },
		{ ENOLCK, "leases are switched off: sysctl fs.leases-enable=1" },
		{ EEXIST,
		  "the range overlaps a lease that is not over yet: see the module's list of leases" },
		{ EAGAIN, "somebody is just changing the file: try again" },
		{ EBUSY, "the file's extents did not hold still: try again" },
		{ ENOMEM, "no memory, or more than RLIMIT_MEMLOCK lets the user pin (ulimit -l)" },
		{ EMFILE, "too many open files in this process (ulimit -n)" },
		{ ENFILE, "too many open files in the system" },
	};
	const char *why;

	/* All pages were there a moment ago. */
	if (errno == EFAULT)
		errno = EAGAIN;
	why = strerror(errno);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].error == errno)
			why = table[i].why;
	return md__fail(errno, "no lease: %s: %s", why, range->text);
}

/* Returns the device's answer; the descriptor is in its place before fork(). */
static int ask_device(struct md_context *ctx, const struct md__range *range,
		      struct md__lease *lease)
{
	struct mapdirect_lease arg = {
		.fd = range->fd,
		.flags = range->allocate ? MAPDIRECT_LEASE_ALLOCATE : 0,
		.offset = range->offset,
		.length = range->length,
		.addr = (uintptr_t)lease->anchor,
	};
	int dev = md__kmod_device(ctx), fd;

	md__fork_hold();
	fd = ioctl(dev, MAPDIRECT_IOC_LEASE, &arg);
	if (fd >= 0)
		lease->fd = fd;
	md__fork_let();
	if (fd >= 0)
		lease->generation = arg.generation;
	return fd;
}

/*
 * A signal ends the call while the module goes through the pages. It may have
 * been sent to cancel us; but where there are signals all the time, they must
 * not keep a lease from being taken at all. All pages are there: it is short.
 */
static int ask_lease(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	sigset_t all, old;
	int fd = ask_device(ctx, range, lease);

	if (fd >= 0 || errno != EINTR)
		return fd;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (fd < 0 && errno == EINTR && !md__populate_step(lease->populate, 0))
		fd = ask_device(ctx, range, lease);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return fd;
}

static int wait_a_little(const struct md__range *range, const struct md__lease *lease)
{
	if (lease->restored)
		return md__fail(EAGAIN, "another map is just copying shared blocks: %s",
				range->text);
	if (md__populate_step(lease->populate, 0))
		return -1;
	usleep(COPY_LOOK_US);
	return 0;
}

/*
 * To copy blocks is to wait for whoever leases the file. Who restores must not
 * wait for a lease of this process: it may be the thread that is to give it
 * back. So each map first says what it is about to do, and then looks at the
 * others: of two, one at least sees the other, and gives way.
 *
 * Nothing in a file that another map of ours leases is shared. If one is just copying, a
 * restore comes again later. md_map() copies, too, as far as there is anything left: the
 * one that it would wait for may pause until this very thread goes on with it.
 */
static int own_blocks(const struct md__range *range, struct md__lease *lease,
		      int (*own)(const struct md__range *, struct md__lease *))
{
	const int ahead = MD__ASKING | (lease->restored ? MD__COPYING : 0);
	int err = 0;

	atomic_store(lease->stage, MD__COPYING);
	while (!err && !md__service_others(range, lease, MD__LEASED)) {
		if (!md__service_others(range, lease, ahead)) {
			err = own(range, lease);
			break;
		}
		atomic_store(lease->stage, MD__NO_LEASE);
		err = wait_a_little(range, lease);
		atomic_store(lease->stage, MD__COPYING);
	}
	atomic_store(lease->stage, MD__NO_LEASE);
	return err;
}

static int own_shared(struct md_context *ctx, const struct md__range *range,
		      struct md__lease *lease)
{
	(void)ctx;
	return own_blocks(range, lease, md__unshare);
}

static int own_marked(struct md_context *ctx, const struct md__range *range,
		      struct md__lease *lease)
{
	(void)ctx;
	return own_blocks(range, lease, md__unmark);
}

/* Take no lease that another map would wait for. It waits for none of ours. */
static int let_copy(const struct md__range *range, const struct md__lease *lease)
{
	while (md__service_others(range, lease, MD__COPYING)) {
		if (wait_a_little(range, lease))
			return -1;
	}
	return 0;
}

static int take_lease(struct md_context *ctx, const struct md__range *range,
		      struct md__lease *lease)
{
	int err;

	atomic_store(lease->stage, MD__ASKING);
	err = let_copy(range, lease);
	if (!err && ask_lease(ctx, range, lease) < 0)
		err = errno == ECANCELED ? -1 : fail_lease(range);
	atomic_store(lease->stage, err ? MD__NO_LEASE : MD__LEASED);
	return err;
}

/* No failure yet if the file has to have its blocks for itself first. */
static int try_lease(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	return take_lease(ctx, range, lease) && errno != EMLINK ? -1 : 0;
}

static int begin(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	if (md__kmod_device(ctx) < 0 || md__kmod_fits(range))
		return -1;
	lease->fits = true;
	/* What the module would refuse is not worth a change to the file. */
	if (md__kmod_may(range))
		return -1;
	md__populate_begin(lease->populate, range->length, 0);
	return 0;
}

static int finish(const struct md__range *range, struct md__lease *lease)
{
	if (fcntl(lease->fd, F_SETFL, O_NONBLOCK) < 0)
		return md__fail(errno, "cannot make the lease non-blocking: %s", strerror(errno));
	if (md__reserve_fill(lease->addr, lease->length, MAP_SHARED, lease->fd, 0))
		return md__fail(errno, "cannot map the lease: %s: %s", strerror(errno),
				range->text);
	return 0;
}

static int acquire(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	static int (*const steps[])(struct md_context *, const struct md__range *,
				    struct md__lease *) = {
		begin,	   own_shared, allocate,   map_anchor,
		try_lease, own_shared, own_marked, take_lease,
	};

	/* The last one takes it or fails. */
	for (; lease->fd < 0; lease->step++, lease->done = 0) {
		if (steps[lease->step](ctx, range, lease))
			return -1;
	}
	lease->step = 0;
	return finish(range, lease);
}

/* ---- events, release ------------------------------------------------------ */

static enum md_reason to_reason(uint32_t reason)
{
	switch (reason) {
	case MAPDIRECT_REASON_LAYOUT:
		return MD_REASON_LAYOUT;
	case MAPDIRECT_REASON_TRUNCATE:
		return MD_REASON_TRUNCATE;
	case MAPDIRECT_REASON_UNMAP:
		return MD_REASON_UNMAP;
	default:
		return MD_REASON_NONE;
	}
}

static int read_notice(struct md__lease *lease, struct md__notice *notice)
{
	struct mapdirect_event event;
	ssize_t n;

	do {
		n = read(lease->fd, &event, sizeof(event));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(event))
		return 0;
	*notice = (struct md__notice){
		.revoked = event.type == MAPDIRECT_EVENT_REVOKED,
		.reason = to_reason(event.reason),
		.time = event.time_ns,
		.deadline = event.deadline_ns,
		.breaker_pid = event.breaker_pid,
	};
	memcpy(notice->breaker_comm, event.breaker_comm, sizeof(event.breaker_comm));
	return 1;
}

static int release(struct md__lease *lease)
{
	int err;

	do {
		err = ioctl(lease->fd, MAPDIRECT_IOC_RELEASE);
	} while (err < 0 && errno == EINTR);
	return err;
}

static uint64_t foreign(struct md__lease *lease)
{
	struct mapdirect_status status = { 0 };

	ioctl(lease->fd, MAPDIRECT_IOC_STATUS, &status);
	return status.foreign_pages;
}

const struct md__lease_ops md__lease_kmod = {
	.provider = MD_PROVIDER_KMOD,
	.check = md__kmod_check,
	.acquire = acquire,
	.read = read_notice,
	.release = release,
	.foreign = foreign,
};
