// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "child.h"
#include "scratch.h"
#include "suite.h"

const char *scratch_device(void)
{
	const char *dev = getenv("MD_TEST_SCRATCH");

	if (!dev)
		suite_skip("no device was given in MD_TEST_SCRATCH");
	return dev;
}

/* Busy for a moment after the last process on it ended. */
static bool unmounted(void *unused)
{
	(void)unused;
	return !umount(suite_fs[1]);
}

void scratch_unmount(void)
{
	CHECK(wait_until(unmounted, NULL, SUITE_WAIT_MS));
}

static bool not_mounted(void *unused)
{
	return unmounted(unused) || errno == EINVAL;
}

static void remake(const char *command, const char *type, const char *mount_options)
{
	const char *dev = scratch_device();

	CHECK(wait_until(not_mounted, NULL, SUITE_WAIT_MS));
	CHECK_EQ(system(command), 0);
	CHECK(!mount(dev, suite_fs[1], type, 0, mount_options));
}

void scratch_make(const char *mkfs, const char *type, const char *mount_options)
{
	char command[256];

	snprintf(command, sizeof(command), "mkfs.%s %s >/dev/null", mkfs, scratch_device());
	remake(command, type, mount_options);
}

/* xfs_db(8), as a mkfs.xfs(8) that is older than the feature cannot. */
void scratch_allow_exchange(void)
{
	remake("f=$(xfs_db -c 'sb 0' -c 'p features_incompat' $MD_TEST_SCRATCH) && "
	       "xfs_db -x -c 'sb 0' -c \"write -d features_incompat $((${f#*=} | 1 << 6))\" "
	       "$MD_TEST_SCRATCH >/dev/null 2>&1",
	       "xfs", "dax=always");
}

void scratch_restore(void)
{
	scratch_make("xfs -q -f -m reflink=1 -d su=2m,sw=1", "xfs", "dax=always");
}
