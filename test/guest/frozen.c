// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A frozen file system: it moves no block, and RDMA needs none moved. */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "rdma.h"
#include "suite.h"

#define LENGTH (4 * MIB)

struct freezer {
	int fd;	      /* a directory of the file system */
	int alive[2]; /* a pipe that closes when the case ends, however it does */
};

/* In a group of its own, so that it outlives the case. */
static void thaw_at_the_end(void *arg)
{
	struct freezer *f = arg;
	char c;

	setpgid(0, 0);
	close(f->alive[1]);
	CHECK_EQ(read(f->alive[0], &c, 1), 0);
	ioctl(f->fd, FITHAW, 0);
}

static void freeze(struct freezer *f, const char *fs)
{
	f->fd = open(fs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(f->fd >= 0);
	CHECK(!pipe2(f->alive, O_CLOEXEC));
	child_start_with_files(thaw_at_the_end, f);
	CHECK(!ioctl(f->fd, FIFREEZE, 0));
}

static void thaw(struct freezer *f)
{
	CHECK(!ioctl(f->fd, FITHAW, 0));
	CHECK(!close(f->alive[0]) && !close(f->alive[1]) && !close(f->fd));
}

static void write_all(struct rdma *near, const struct ibv_mr *mr, char value)
{
	for (size_t i = 0; i < LENGTH; i += 4096)
		CHECK_EQ(rdma_write(near, (uintptr_t)mr->addr + i, mr->rkey, value),
			 IBV_WC_SUCCESS);
}

/*
 * Proves: freezing breaks no lease and stops no device, whose writes are in the
 * file; who would break has to wait outside, unnoticed, and breaks after the thaw.
 */
static void frozen__region_in_use__goes_on(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct freezer freezer;
		struct rdma near, far;
		struct breaker b;
		struct holder h;
		struct ibv_mr *mr;

		suite_context("on %s", suite_fs[i]);
		rdma_pair(&near, &far);
		holder_file(&h, suite_fs[i], "leased", LENGTH);
		holder_take(&h, 0, LENGTH);
		mr = rdma_reg(&far, h.map, LENGTH);
		CHECK(mr);
		write_all(&near, mr, 1);
		freeze(&freezer, suite_fs[i]);
		write_all(&near, mr, 2);
		CHECK_EQ(bytes_not(h.path, 0, LENGTH, 2), 0);
		breaker_start(&b, truncate_to_zero, h.path);
		CHECK(breaker_waits(&b, 1000));
		CHECK(!holder_has_event(&h));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
		write_all(&near, mr, 3);
		CHECK_EQ(bytes_not(h.path, 0, LENGTH, 3), 0);
		thaw(&freezer);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK_EQ(ev.reason, MAPDIRECT_REASON_TRUNCATE);
		CHECK_EQ(ev.breaker_pid, b.pid);
		CHECK(breaker_waits(&b, 100));
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		holder_release_done(&h);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!unlink(h.path));
		rdma_close(&near);
		rdma_close(&far);
	}
}

/* Proves: to give a lease back needs nothing of a frozen file system. */
static void frozen__lease_released__does_not_wait(const void *unused)
{
	struct freezer freezer;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	memset(h.map, 1, LENGTH);
	freeze(&freezer, suite_fs[0]);
	CHECK_EQ(holder_release(&h), 0);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASED);
	CHECK(!close(h.lease));
	thaw(&freezer);
	CHECK_EQ(bytes_not(h.path, 0, LENGTH, 1), 0);
}

static const struct suite_case cases[] = {
	SUITE_CASE_LONG(frozen__region_in_use__goes_on),
	SUITE_CASE(frozen__lease_released__does_not_wait),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
