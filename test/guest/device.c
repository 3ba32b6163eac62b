// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Other file systems on the scratch device, and the device going away. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "driver.h"
#include "holder.h"
#include "rdma.h"
#include "scratch.h"
#include "suite.h"

#define LENGTH (4 * MIB)

struct wanted {
	int err;
	int flags; /* of the anchor's mapping */
};

static void lease_refused(void *arg)
{
	const struct wanted *w = arg;
	struct holder h = { .length = LENGTH };

	suite_path(h.path, sizeof(h.path), suite_fs[1], "file");
	h.fd = open(h.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(h.fd >= 0 && !posix_fallocate(h.fd, 0, LENGTH));
	h.anchor = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, w->flags, h.fd, 0);
	CHECK(h.anchor != MAP_FAILED);
	CHECK(!madvise(h.anchor, LENGTH, MADV_POPULATE_WRITE));
	CHECK_ERRNO(holder_try_lease(&h, 0), w->err);
}

static void check_refused(int err, int flags, const char *why)
{
	struct wanted w = { err, flags };
	char command[128];

	child_finish(child_start(lease_refused, &w));
	snprintf(command, sizeof(command), "dmesg | grep -q 'mapdirect: .*%s'", why);
	CHECK_EQ(system(command), 0);
}

/* Proves: ext4, which never breaks layout leases, is refused, and told why. */
static void lease__on_ext4__is_refused(const void *unused)
{
	(void)unused;
	scratch_make("ext4 -q -F", "ext4", "dax=always");
	check_refused(EOPNOTSUPP, MAP_SHARED_VALIDATE | MAP_SYNC,
		      "ext4 on .* does not break layout leases");
	scratch_restore();
}

/* Proves: a file in the page cache is refused, and told why, also on XFS. */
static void lease__on_page_cache__is_refused(const void *unused)
{
	(void)unused;
	scratch_make("xfs -q -f", "xfs", "dax=never");
	check_refused(ENODEV, MAP_SHARED, "xfs on .* not accessed by DAX");
	scratch_restore();
}

static void expect_in_use(void)
{
	CHECK_ERRNO(umount(suite_fs[1]), EBUSY);
	CHECK_ERRNO(syscall(SYS_delete_module, "mapdirect", O_NONBLOCK), EWOULDBLOCK);
}

static bool module_unloaded(void *unused)
{
	(void)unused;
	return !syscall(SYS_delete_module, "mapdirect", O_NONBLOCK);
}

/* The module again, for whoever comes next. */
static void load_module(void)
{
	const char *path = getenv("MD_KMOD");
	int fd;

	CHECK(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(!syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

/*
 * Proves: neither the file system nor the module goes away under a lease, and
 * each does when the last region on it is gone.
 */
static void umount_and_rmmod__while_leased__are_refused(const void *unused)
{
	struct ibv_mr *mr;
	struct holder h;
	struct rdma r;

	(void)unused;
	scratch_restore();
	rdma_open(&r);
	holder_file(&h, suite_fs[1], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&r, h.map, LENGTH);
	CHECK(mr);
	CHECK(!munmap(h.anchor, LENGTH));
	CHECK(!close(h.fd));
	CHECK(!close(holder_device()));
	expect_in_use();
	CHECK(!munmap(h.map, LENGTH));
	CHECK(!close(h.lease));
	expect_in_use();
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	scratch_unmount();
	CHECK(wait_until(module_unloaded, NULL, SUITE_WAIT_MS));
	load_module();
	scratch_restore();
}

/*
 * Proves: the memory of the device does not go while it is leased: unbinding
 * its driver waits, the region works on, and after the release it is through.
 */
static void unbind__while_leased__waits(const void *unused)
{
	struct rdma near, far;
	const char *device = driver_device();
	struct ibv_mr *mr;
	struct breaker b;
	struct holder h;

	(void)unused;
	scratch_restore();
	rdma_pair(&near, &far);
	holder_file(&h, suite_fs[1], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&far, h.map, LENGTH);
	CHECK(mr);
	driver_forget_pages(&h);
	sync();
	breaker_start(&b, driver_unbind, device);
	CHECK(breaker_waits(&b, 1000));
	for (size_t i = 0; i < LENGTH; i += MIB)
		CHECK_EQ(rdma_write(&near, (uintptr_t)h.map + i, mr->rkey, 1), IBV_WC_SUCCESS);
	holder_release_busy(&h);
	CHECK(breaker_waits(&b, 100));
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	CHECK(breaker_waits(&b, 200));
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!close(h.lease) && !close(h.fd));
	/* The file system is dead now; a new one for whoever comes next. */
	CHECK(!umount(suite_fs[1]));
	driver_bind(device);
	scratch_restore();
}

static const struct suite_case cases[] = {
	SUITE_CASE(lease__on_ext4__is_refused),
	SUITE_CASE(lease__on_page_cache__is_refused),
	SUITE_CASE(umount_and_rmmod__while_leased__are_refused),
	SUITE_CASE(unbind__while_leased__waits),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
