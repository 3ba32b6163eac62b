// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "child.h"
#include "large_file.h"
#include "suite.h"

uint64_t large_room(void)
{
	struct statvfs st;

	CHECK(!statvfs(suite_fs[0], &st));
	return (uint64_t)st.f_bavail * st.f_frsize;
}

static bool has_room(void *unused)
{
	(void)unused;
	return large_room() >= LARGE + 512 * MIB;
}

/* The file of the case before is freed in the background. */
void large_need_room(void)
{
	if (!wait_until(has_room, NULL, SUITE_WAIT_MS / 4))
		suite_skip("%s has no room for a file of 2 GiB", suite_fs[0]);
}

void large_hole(struct holder *h, const char *name)
{
	large_need_room();
	*h = (struct holder){ .lease = -1 };
	suite_path(h->path, sizeof(h->path), suite_fs[0], name);
	h->fd = open(h->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(h->fd >= 0 && !ftruncate(h->fd, LARGE));
}
