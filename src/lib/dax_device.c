// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dax_device.h"

const char *md__dax_device_sysfs = "/sys";

/* An attribute as text. 0, or -1. */
static int read_text(const char *dir, const char *name, char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return 0;
}

static uint64_t read_number(const char *dir, const char *name)
{
	char text[32];

	return read_text(dir, name, text, sizeof(text)) ? 0 : strtoull(text, NULL, 0);
}

static bool is_dax(const char *dir)
{
	char path[PATH_MAX], subsystem[PATH_MAX];
	const char *name;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/subsystem", dir) >= (int)sizeof(path))
		return false;
	n = readlink(path, subsystem, sizeof(subsystem) - 1);
	if (n < 0)
		return false;
	subsystem[n] = '\0';
	name = strrchr(subsystem, '/');
	return !strcmp(name ? name + 1 : subsystem, "dax");
}

/*
 * The device hangs below the region that its memory comes from. One of
 * libnvdimm says which kind it is (nd_region_type in drivers/nvdimm); memory
 * that does not come from there is volatile.
 */
static bool is_persistent(char *dir)
{
	char text[1024];
	char *end;

	for (; (end = strrchr(dir, '/')) && end > dir; *end = '\0') {
		if (!read_text(dir, "uevent", text, sizeof(text)) &&
		    strstr(text, "DEVTYPE=nd_pmem\n"))
			return true;
	}
	return false;
}

int md__dax_device_look(dev_t number, struct md__dax_device *dax)
{
	char link[PATH_MAX], dir[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/char/%u:%u", md__dax_device_sysfs, major(number),
		 minor(number));
	if (!realpath(link, dir) || !is_dax(dir)) {
		errno = ENODEV;
		return -1;
	}
	dax->size = read_number(dir, "size");
	dax->align = read_number(dir, "align");
	if (!dax->size || !dax->align || dax->align & (dax->align - 1)) {
		errno = EIO;
		return -1;
	}
	dax->persistent = is_persistent(dir);
	return 0;
}
