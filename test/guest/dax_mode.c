// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "child.h"
#include "dax_mode.h"
#include "scratch.h"
#include "suite.h"

#define BUS "/sys/bus/nd/"
#define NAME 64

static char region[NAME], space[NAME], dax[NAME], device[NAME];

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		suite_fail(__FILE__, __LINE__, "cannot write %s to %s", text, path);
	close(fd);
}

static void put_attribute(const char *of, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), BUS "devices/%s/%s", of, name);
	put(path, text);
}

static void get_attribute(const char *of, const char *name, char text[NAME])
{
	char path[PATH_MAX];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), BUS "devices/%s/%s", of, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	n = read(fd, text, NAME - 1);
	CHECK(n > 0);
	close(fd);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static void set_driver(const char *driver, const char *what, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), BUS "drivers/%s/%s", driver, what);
	put(path, name);
}

/* What ndctl(1) would do; a claimed namespace is let go by an empty name. */
static void claim(const char *name, const char *uuid)
{
	put_attribute(name, "mode", "ram");
	put_attribute(name, "align", "2097152");
	put_attribute(name, "uuid", uuid);
	put_attribute(name, "namespace", space);
}

static bool is_there(void *path)
{
	return !access(path, F_OK);
}

static bool unmounted(void *unused)
{
	(void)unused;
	return !umount(suite_fs[1]) || errno == EINVAL;
}

const char *dax_mode_enter(void)
{
	char link[NAME], path[PATH_MAX], pfn[NAME];

	snprintf(link, sizeof(link), "/sys/block/%s/device", strrchr(scratch_device(), '/') + 1);
	CHECK(realpath(link, path));
	snprintf(pfn, sizeof(pfn), "%.32s", basename(path));
	snprintf(region, sizeof(region), "%.32s", basename(dirname(path)));
	if (strncmp(pfn, "pfn", 3))
		suite_skip("the device is not a namespace in fsdax mode");
	if (system("modprobe dax_pmem && modprobe device_dax"))
		suite_skip("the kernel has no modules dax_pmem and device_dax");
	get_attribute(pfn, "namespace", space);
	get_attribute(region, "dax_seed", dax);
	CHECK(wait_until(unmounted, NULL, SUITE_WAIT_MS));
	set_driver("nd_pmem", "unbind", pfn);
	put_attribute(pfn, "namespace", "\n");
	claim(dax, "00000000-0000-4000-8000-0000000000da");
	set_driver("dax_pmem", "bind", dax);
	/* dax_pmem numbers it as the namespace, not as its own device. */
	CHECK(!strncmp(space, "namespace", strlen("namespace")));
	snprintf(device, sizeof(device), "/dev/dax%.32s", space + strlen("namespace"));
	CHECK(wait_until(is_there, device, SUITE_WAIT_MS));
	return device;
}

void dax_mode_leave(void)
{
	char pfn[NAME];

	set_driver("dax_pmem", "unbind", dax);
	put_attribute(dax, "namespace", "\n");
	get_attribute(region, "pfn_seed", pfn);
	claim(pfn, "00000000-0000-4000-8000-00000000000f");
	set_driver("nd_pmem", "bind", pfn);
	CHECK(wait_until(is_there, (void *)scratch_device(), SUITE_WAIT_MS));
	scratch_restore();
}
