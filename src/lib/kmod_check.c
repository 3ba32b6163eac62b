// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "hole.h"
#include "kmod_check.h"
#include "permit.h"

/* ---- the device --------------------------------------------------------- */

static int fail_open(const char *path)
{
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return md__fail(ENOENT,
				"there is no %s: load the kernel module (modprobe mapdirect)",
				path);
	case EACCES:
	case EPERM:
		return md__fail(EACCES,
				"no permission to open %s: its group may (usually \"mapdirect\")",
				path);
	default:
		return md__fail(errno, "cannot open %s: %s", path, strerror(errno));
	}
}

static int ask_info(int fd, struct mapdirect_info *info, const char *path)
{
	if (ioctl(fd, MAPDIRECT_IOC_INFO, info) < 0)
		return md__fail(EOPNOTSUPP, "%s is not a device of the module mapdirect: %s", path,
				strerror(errno));
	if (info->abi != MAPDIRECT_ABI_VERSION || info->mode != MAPDIRECT_MODE_PINNED)
		return md__fail(
			EOPNOTSUPP,
			"the module behind %s has interface %u, mode %u; this library needs %d, %d: install both from one release",
			path, info->abi, info->mode, MAPDIRECT_ABI_VERSION, MAPDIRECT_MODE_PINNED);
	return 0;
}

static int open_device(struct md_context *ctx)
{
	int fd, err;

	do {
		fd = open(ctx->device, O_RDWR | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return fail_open(ctx->device);
	err = ask_info(fd, &ctx->info, ctx->device);
	if (!err)
		ctx->fd[MD__FD_DEV] = fd;
	else
		close(fd);
	return err;
}

int md__kmod_device(struct md_context *ctx)
{
	int fd;

	pthread_mutex_lock(&ctx->dev_lock);
	md__fork_hold();
	if (ctx->fd[MD__FD_DEV] < 0)
		open_device(ctx);
	fd = ctx->fd[MD__FD_DEV];
	md__fork_let();
	pthread_mutex_unlock(&ctx->dev_lock);
	return fd;
}

/* ---- the file ------------------------------------------------------------ */

static int check_dax(const struct md__range *range)
{
	struct statx stx;

	if (statx(range->fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
		return md__fail(errno, "%s: cannot ask whether the file is DAX: %s", range->text,
				strerror(errno));
	if (!(stx.stx_attributes & STATX_ATTR_DAX))
		return md__fail(
			ENODEV,
			"the file is not accessed by DAX: mount its file system with dax=always, on persistent memory: %s",
			range->text);
	return 0;
}

static int check_holes(const struct md__range *range)
{
	struct md__hole hole;

	if (range->allocate)
		return 0;
	if (md__hole_find(range, &hole))
		return -1;
	if (hole.length)
		return md__fail(
			ENODATA,
			"bytes %llu to %llu were never written: write them, or pass MD_MAP_ALLOCATE: %s",
			(unsigned long long)hole.offset,
			(unsigned long long)(hole.offset + hole.length - 1), range->text);
	return 0;
}

int md__kmod_fits(const struct md__range *range)
{
	if (check_dax(range) || md__range_inside(range))
		return -1;
	return check_holes(range);
}

/* ---- what the module will check, foreseen -------------------------------- */

static int foresee_file_system(const struct md__range *range)
{
	struct statfs fs;

	if (fstatfs(range->fd, &fs) < 0)
		return md__fail(errno, "%s: cannot ask for the file system: %s", range->text,
				strerror(errno));
	if (fs.f_type != XFS_SUPER_MAGIC)
		return md__fail(
			EOPNOTSUPP,
			"the file system does not break leases before it moves blocks: use XFS: %s",
			range->text);
	return 0;
}

int md__kmod_may(const struct md__range *range)
{
	return foresee_file_system(range) || md__permit_lease(range) ? -1 : 0;
}

/* How long a breaker may have to wait, in ms. */
static uint32_t longest_break(const struct md_query_result *result)
{
	uint32_t cap = result->break_cap_ms, time = result->lease_break_ms;

	return time && time < cap ? time : cap;
}

void md__kmod_check(struct md_context *ctx, const struct md__range *range,
		    struct md_query_result *result)
{
	if (md__kmod_device(ctx) < 0)
		goto refused;
	result->break_cap_ms = ctx->info.break_cap_ms;
	if (check_dax(range) || foresee_file_system(range))
		goto refused;
	result->provider = MD_PROVIDER_KMOD;
	if (md__range_inside(range) || md__permit_lease(range) || check_holes(range))
		goto refused;
	snprintf(
		result->reason, sizeof(result->reason),
		"the kernel module would lease %s; a holder that has not ended a break within %u ms is killed",
		range->text, longest_break(result));
	return;

refused:
	result->error = errno;
	snprintf(result->reason, sizeof(result->reason), "%.255s", md_errmsg());
}
