// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errmsg.h"
#include "fcntl_watch.h"
#include "fork.h"
#include "hole.h"
#include "lease_fcntl.h"
#include "permit.h"
#include "populate.h"
#include "reserve.h"

/* Progress is told, and others are looked for, in between. */
#define FAULT_CHUNK ((size_t)1 << 20)

/* ---- the file ------------------------------------------------------------ */

static int check_not_dax(const struct md__range *range)
{
	struct statx stx;

	if (statx(range->fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
		return md__fail(errno, "%s: cannot ask whether the file is DAX: %s", range->text,
				strerror(errno));
	if (stx.stx_attributes & STATX_ATTR_DAX)
		return md__fail(
			EOPNOTSUPP,
			"the file is accessed by DAX, where a lease of fcntl(2) protects nothing: ask for MD_PROVIDER_KMOD: %s",
			range->text);
	return 0;
}

static int fail_hole(const struct md__hole *hole, const struct md__range *range)
{
	return md__fail(
		ENODATA,
		"bytes %llu to %llu were never written: write them, or pass MD_MAP_ALLOCATE: %s",
		(unsigned long long)hole->offset,
		(unsigned long long)(hole->offset + hole->length - 1), range->text);
}

/* While there is no lease: to look for a hole opens the file. */
static int check_file(const struct md__range *range, struct md__hole *hole)
{
	if (check_not_dax(range) || md__range_inside(range) || md__hole_find(range, hole))
		return -1;
	return hole->length && !range->allocate ? fail_hole(hole, range) : 0;
}

/* Served by name only, so it is not the answer to who would serve. */
static void check(struct md_context *ctx, const struct md__range *range,
		  struct md_query_result *result)
{
	struct md__hole hole = {
		.offset = result->unallocated_offset,
		.length = result->unallocated_length,
	};

	(void)ctx;
	if (!check_not_dax(range))
		result->by_name = MD_PROVIDER_FCNTL;
	if (!result->by_name || md__range_inside(range) || md__permit_lease(range) ||
	    (hole.length && fail_hole(&hole, range)))
		snprintf(result->by_name_reason, sizeof(result->by_name_reason), "%.255s",
			 md_errmsg());
	else
		snprintf(
			result->by_name_reason, sizeof(result->by_name_reason),
			"MD_PROVIDER_FCNTL would lease %s if nobody else has it open; broken by open and truncate only",
			range->text);
}

/* ---- acquire ------------------------------------------------------------- */

static int fail_lease(const struct md__range *range)
{
	static const struct {
		int error;
		int shown;
		const char *why;
	} table[] = {
		{ EAGAIN, EAGAIN,
		  "the file is open elsewhere too, or being opened: close it, in this and other processes" },
		{ EEXIST, EEXIST,
		  "the file has a lease already, of another map or of this program: a map takes the whole file" },
		{ EACCES, EPERM, "only the owner of the file or CAP_LEASE may lease it" },
		{ EINVAL, EOPNOTSUPP, "its file system has no leases" },
		{ EOPNOTSUPP, EOPNOTSUPP, "its file system has no leases" },
		{ ENOLCK, EOPNOTSUPP, "its file system gives no leases (a network file system?)" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].error == errno)
			return md__fail(table[i].shown, "no lease: %s: %s", table[i].why,
					range->text);
	}
	return md__fail(errno, "no lease: %s: %s", strerror(errno), range->text);
}

static int open_event(struct md__lease *lease)
{
	md__fork_hold();
	lease->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	md__fork_let();
	return lease->fd;
}

static int take(const struct md__range *range, struct md__lease *lease)
{
	struct md__fcntl_lease *own;
	int saved;

	if (open_event(lease) < 0)
		return md__fail(errno, "cannot make a descriptor for the lease: %s: %s",
				strerror(errno), range->text);
	own = calloc(1, sizeof(*own));
	if (!own)
		return md__fail(ENOMEM, "no memory for a lease: %s", range->text);
	own->file = range->fd;
	own->event = lease->fd;
	if (md__fcntl_watch_enter())
		goto free;
	if (md__fcntl_watch_take(own)) {
		fail_lease(range);
		goto leave;
	}
	lease->data = own;
	return 0;

leave:
	saved = errno;
	md__fcntl_watch_leave();
	errno = saved;
free:
	free(own);
	return -1;
}

/* What takes space takes it now, from the first hole on: later it would be a SIGBUS. */
static int populate(const struct md__range *range, struct md__lease *lease,
		    const struct md__hole *hole)
{
	const size_t first = (hole->offset - range->offset) / FAULT_CHUNK * FAULT_CHUNK;
	char *addr = lease->addr;

	md__populate_begin(lease->populate, lease->length, first);
	for (size_t done = first, length; done < lease->length; done += length) {
		length = lease->length - done;
		if (length > FAULT_CHUNK)
			length = FAULT_CHUNK;
		if (madvise(addr + done, length, MADV_POPULATE_WRITE)) {
			if (errno == EFAULT)
				return md__fail(
					ENOSPC,
					"no space for what was never written: free some: %s",
					range->text);
			return md__fail(errno, "cannot fault in the pages: %s: %s", strerror(errno),
					range->text);
		}
		if (md__populate_step(lease->populate, length))
			return -1;
	}
	return 0;
}

static int map_file(const struct md__range *range, struct md__lease *lease,
		    const struct md__hole *hole)
{
	if (md__reserve_fill(lease->addr, lease->length, MAP_SHARED, range->fd,
			     (off_t)range->offset))
		return md__fail(errno, "cannot map the file: %s: %s", strerror(errno), range->text);
	return hole->length ? populate(range, lease, hole) : 0;
}

/* A right that was lost may come back: of a program that changes its user for a while. */
static int end(struct md__lease *lease)
{
	struct md__fcntl_lease *own = lease->data;
	bool watched = own->watched;
	int err = md__fcntl_watch_end(own);

	if (watched)
		md__fcntl_watch_leave();
	if (err)
		return md__fail(
			EPERM,
			"the lease cannot be given back, only its owner or CAP_LEASE may: md_unmap() and close the file");
	/* In this order: a child of fork() frees what it finds there. */
	lease->data = NULL;
	free(own);
	return 0;
}

static int acquire(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	struct md__hole hole;
	int saved;

	(void)ctx;
	if (md__fcntl_watch_taken(range->fd)) {
		errno = EEXIST;
		return fail_lease(range);
	}
	if (md__permit_lease(range) || check_file(range, &hole))
		return -1;
	lease->fits = true;
	if (take(range, lease))
		return -1;
	/* Who was quicker may have made it shorter. */
	if (!md__range_inside(range) && !map_file(range, lease, &hole)) {
		lease->generation = md__lease_number();
		return 0;
	}
	saved = errno;
	if (!end(lease))
		errno = saved;
	return -1;
}

/* ---- events, release ------------------------------------------------------ */

static int read_notice(struct md__lease *lease, struct md__notice *notice)
{
	return md__fcntl_watch_read(lease->data, notice);
}

static int release(struct md__lease *lease)
{
	md__reserve_again(lease->addr, lease->length);
	return end(lease);
}

/*
 * A page that an adapter has written is not dirty for the kernel until it is
 * deregistered; as if stored to, it is.
 */
static int persist(struct md__lease *lease, const struct md__range *range, size_t offset,
		   size_t length)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t first = ((uintptr_t)lease->addr + offset) / page * page;
	const uintptr_t end = (uintptr_t)lease->addr + offset + length;

	if (!length)
		return 0;
	if (madvise((void *)first, (end - first + page - 1) / page * page, MADV_POPULATE_WRITE) ||
	    msync((void *)first, end - first, MS_SYNC))
		return md__fail(errno, "cannot write back: %s: %s", strerror(errno), range->text);
	return 0;
}

const struct md__lease_ops md__lease_fcntl = {
	.provider = MD_PROVIDER_FCNTL,
	.check = check,
	.acquire = acquire,
	.read = read_notice,
	.release = release,
	.at_deadline = "ends the lease",
	.persist = persist,
};
