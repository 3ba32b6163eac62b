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

static int join(char path[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* An attribute as text. 0, or -1 with errno. */
static int read_text(const char *dir, const char *name, char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd, saved;

	if (join(path, dir, name))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	saved = errno;
	close(fd);
	errno = saved;
	if (n < 0)
		return -1;
	text[n] = '\0';
	return 0;
}

/* More than 0, or 0 with errno. */
static uint64_t read_number(const char *dir, const char *name)
{
	char text[32];
	uint64_t number;

	if (read_text(dir, name, text, sizeof(text)))
		return 0;
	number = strtoull(text, NULL, 0);
	if (!number)
		errno = EIO;
	return number;
}

/* ENODEV: of another subsystem. */
static int check_subsystem(const char *dir)
{
	char path[PATH_MAX], subsystem[PATH_MAX];
	const char *name;
	ssize_t n;

	if (join(path, dir, "subsystem"))
		return -1;
	n = readlink(path, subsystem, sizeof(subsystem) - 1);
	if (n < 0)
		return -1;
	subsystem[n] = '\0';
	name = strrchr(subsystem, '/');
	if (!strcmp(name ? name + 1 : subsystem, "dax"))
		return 0;
	errno = ENODEV;
	return -1;
}

/*
 * The device hangs below the region that its memory comes from. One of
 * libnvdimm says which kind it is (nd_region_type in drivers/nvdimm); memory
 * that does not come from there is volatile. 1, 0, or -1 with errno.
 */
static int is_persistent(char *dir)
{
	char text[1024];
	char *end;

	for (; (end = strrchr(dir, '/')) && end > dir; *end = '\0') {
		if (!read_text(dir, "uevent", text, sizeof(text))) {
			if (strstr(text, "DEVTYPE=nd_pmem\n"))
				return 1;
		} else if (errno != ENOENT) {
			return -1;
		}
	}
	return 0;
}

int md__dax_device_look(dev_t number, struct md__dax_device *dax)
{
	char link[PATH_MAX], dir[PATH_MAX];
	int persistent;

	snprintf(link, sizeof(link), "%s/dev/char/%u:%u", md__dax_device_sysfs, major(number),
		 minor(number));
	/* What sysfs does not know, or is of no subsystem, is no device-dax. */
	if (!realpath(link, dir) || check_subsystem(dir)) {
		if (errno == ENOENT)
			errno = ENODEV;
		return -1;
	}
	dax->size = read_number(dir, "size");
	dax->align = dax->size ? read_number(dir, "align") : 0;
	if (!dax->align)
		return -1;
	if (dax->align & (dax->align - 1)) {
		errno = EIO;
		return -1;
	}
	persistent = is_persistent(dir);
	dax->persistent = persistent > 0;
	return persistent < 0 ? -1 : 0;
}
