// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "driver.h"
#include "scratch.h"
#include "suite.h"
#include "swap.h"

#define BUS "/sys/bus/nd/drivers/nd_pmem/"

static int tell(const char *what, const char *device)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), BUS "%s", what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, device, strlen(device)) == (ssize_t)strlen(device) ? 0 : -1;
}

const char *driver_device(void)
{
	static char path[PATH_MAX];
	char link[64], *name;

	snprintf(link, sizeof(link), "/sys/block/%s/device", strrchr(scratch_device(), '/') + 1);
	CHECK(realpath(link, path));
	name = basename(path);
	snprintf(link, sizeof(link), BUS "%.32s", name);
	if (access(link, F_OK))
		suite_skip("the device is not driven by nd_pmem");
	return name;
}

int driver_unbind(const char *device)
{
	return tell("unbind", device);
}

static bool device_is_there(void *unused)
{
	(void)unused;
	return !access(scratch_device(), F_OK);
}

void driver_bind(const char *device)
{
	CHECK_EQ(tell("bind", device), 0);
	CHECK(wait_until(device_is_there, NULL, SUITE_WAIT_MS));
}

void driver_forget_pages(struct holder *h)
{
	struct holder other;

	CHECK(!munmap(h->anchor, h->length));
	holder_file(&other, suite_fs[1], "other", h->length);
	CHECK_EQ(swap_extents(h->path, other.path), EINVAL);
	CHECK(!close(other.fd));
}
